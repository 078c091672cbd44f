"""All layers that are compared, family by family."""

from benchmarks.agreement import (
    activations,
    convolution,
    core,
    features,
    losses,
    losses_of_classes,
    normalization,
    sequences,
    structure,
)
from benchmarks.agreement.twin import Twin

TWINS: list[Twin] = [
    *core.TWINS,
    *activations.TWINS,
    *features.TWINS,
    *structure.TWINS,
    *normalization.TWINS,
    *convolution.TWINS,
    *sequences.TWINS,
    *losses_of_classes.TWINS,
    *losses.TWINS,
]
