"""What minigrad is to reach, in one table, and whether it does."""

from typing import Any, NamedTuple

LIMIT, MEMORY = "limit", "memory"


class Bar(NamedTuple):
    """A peer takes `ratio` of minigrad's time at least; or minigrad `ratio` of the limit, or of a memory, at most."""

    workload: str
    against: str
    ratio: float
    stretch: bool = False

    def found(self, result: dict[str, Any]) -> float | None:
        """The ratio that was measured; None where nothing was."""
        if self.against == MEMORY:
            memory = result.get("memory", {}).get("minigrad")
            return memory and (memory["kept"] + memory["peak"]) / result["allowance"]
        if self.against == LIMIT:
            return result.get("of_limit")
        return of_library(result.get("ratio", {}), self.against)

    def met(self, found: float) -> bool:
        """Whether it is reached."""
        return found <= self.ratio if self.against in (LIMIT, MEMORY) else found >= self.ratio

    def cells(self, result: dict[str, Any]) -> list[str]:
        """Against what, the bar, what there is, and whether it is reached."""
        found = self.found(result)
        if self.against == MEMORY:
            megabytes = result.get("allowance", 0) / 1e6
            bar, shown = f"<= {megabytes:.1f} MB" if megabytes else "", f"{(found or 0) * megabytes:.1f} MB"
        elif self.against == LIMIT:
            bar, shown = f"<= {self.ratio:.2f}", f"{found or 0:.2f}"
        else:
            bar, shown = f"{self.ratio:.2f}x", f"{found or 0:.2f}x"
        against = self.against + (", a stretch" if self.stretch else "")
        if found is None:
            return [against, bar, "", "not measured"]
        return [against, bar, shown, "met" if self.met(found) else "missed"]


# "Within 1.1x of a peer" is a ratio of 1 / 1.1.  The memory is all beyond the data: parameters and what a step takes.
BARS = [
    Bar("W1", "PyTorch", 8),
    Bar("W1", "JAX", 2),
    Bar("W2", "PyTorch", 2.5),
    Bar("W2", "JAX", 1.8),
    Bar("W3s, float64", "PyTorch", 2),
    Bar("W3s, float64", "JAX", 2),
    Bar("W3", "PyTorch", 1.6),
    Bar("W3", LIMIT, 1.3),
    Bar("W3", MEMORY, 1),
    Bar("W4", "PyTorch", 1),
    Bar("W4", "JAX", 1 / 1.1),
    Bar("W5", LIMIT, 1.05),
    Bar("W5", MEMORY, 1),
    Bar("W6a", "PyTorch", 1 / 1.6),
    Bar("W6b", "PyTorch", 1 / 1.6),
    Bar("W6c", "PyTorch", 2.5),
    Bar("W6d", "PyTorch", 2.5),
    Bar("W7", "PyTorch", 1 / 1.1),
    Bar("W8", "PyTorch", 1),
    Bar("W9 Hessian, float64", "JAX", 10),
    Bar("W9 Hessian, float64", "scikit-learn", 1.4),
    Bar("W9 product, float64", "JAX", 1.2),
    Bar("W10 digits, float64", "scikit-learn", 1.5),
    Bar("I1", "PyTorch", 1, stretch=True),
    Bar("I1", "ONNX Runtime", 1, stretch=True),
]


def of_library(ratios: dict[str, float], library: str) -> float | None:
    """The ratio of a library's quickest way: "JAX" is also "JAX, optax"."""
    own = [ratio for name, ratio in ratios.items() if name.split(",")[0] == library]
    return min(own, default=None)
