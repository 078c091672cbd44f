"""Reuse: one layer several times, and a layer that is not trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.checks import require_count, require_layers
from minigrad.containers.base import Container
from minigrad.containers.sequential import Sequential
from minigrad.layer import Layer
from minigrad.typing import Array, Delta, Formulas, Gradients, Shapes


class Repeat(Sequential):
    """f(f(...f(z))), `times` times over with one set of weights, whose gradient is the sum over the times."""

    def __init__(self, layer: Layer, times: int) -> None:
        require_layers(Repeat, (layer,))
        super().__init__(*[layer] * require_count(Repeat, "times", times))

    def __repr__(self) -> str:
        return f"Repeat({len(self)} x {self.layers[0]!r})"


class Frozen(Container):
    """A layer that is kept as it is: deltas flow through it, rule 3 is skipped, and what stands below does not notice.

        z_next  =  inner(z),    dz  =  rule 2 of what inner is at inference

    It is run as at inference, in training too: dropout inside is off, and batch normalisation uses its running
    statistics and leaves them.  Its parameters are state: saved and cast with the others, but no optimiser sees them.
    """

    formulas = Formulas(r"f(\z)", r"\d \cdot \frac{\partial f}{\partial \z}", where="f is the layer at inference")

    def __init__(self, inner: Layer) -> None:
        require_layers(Frozen, (inner,))
        self.inner = inner
        self._fixed = inner.at_inference()

    @property
    def rows_independent(self) -> bool:  # type: ignore[override]
        """As they are at inference."""
        return self._fixed.rows_independent

    def children(self) -> Sequence[tuple[str, Layer]]:
        return (("inner", self.inner),)

    def parameters(self) -> dict[str, Array]:
        return {}

    def state(self) -> dict[str, Any]:
        return super().parameters() | super().state()

    def at_inference(self) -> Layer:
        return self

    def output_shape(self, shape: Shapes) -> Shapes:
        with self.within("inner"):
            return self._fixed.output_shape(shape)

    def forward(self, z: Any, *arguments: Any, **options: Any) -> tuple[Any, Any]:
        with self.within("inner"):
            return self._fixed.forward(z, *arguments, **options)

    def backward(self, delta: Delta, cache: Any) -> Any:
        with self.within("inner"):
            return self._fixed.backward(delta, cache)

    def parameter_gradients(self, delta: Delta, cache: Any) -> Gradients:
        return {}

    def __call__(self, z: Any, *arguments: Any, **options: Any) -> Any:
        with self.within("inner"):
            return self.inner(z, *arguments, **options)
