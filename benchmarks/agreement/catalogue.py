"""All layers that are compared, family by family."""

from benchmarks.agreement.twin import Twin

TWINS: list[Twin] = []
