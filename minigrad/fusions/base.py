"""Fusion: layers that stand one on top of the other, run as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.checks import require_layers
from minigrad.containers import Container, Sequential
from minigrad.layer import Layer
from minigrad.typing import Delta, Gradients, Shapes


class Fusion(Container):
    """A stack of layers with rules of its own, equal to those of the stack to rounding, and faster.

    It is made of the layers that it stands for, from the lowest up, and its rules are theirs.  A subclass writes the
    three rules anew; rule 3 names a gradient by the place of its layer in the fusion and its name there, "0.weight".
    Or it is for the whole upper end of a cost, writes `value_and_gradients` and says `one_pass = True`.  `takes` may
    decline layers that it is not made for.

    `fusions.fuses` puts it in the table, and `minigrad.testing.check_fusion` holds it to what the stack gives.

    >>> import numpy as np
    >>> from minigrad import Linear, Tanh
    >>> class LinearTanh(Fusion):
    ...     def forward(self, z):
    ...         a, _ = self.layers[0].forward(z)
    ...         return np.tanh(a, out=a), (z, a)
    ...     def backward(self, delta, cache):
    ...         z, y = cache
    ...         return self.layers[0].backward(delta * (1 - y * y), z)
    ...     def parameter_gradients(self, delta, cache):
    ...         z, y = cache
    ...         return self.named(self.layers[0].parameter_gradients(delta * (1 - y * y), z))
    >>> layer, z = LinearTanh(Linear(3, 4, rng=0), Tanh()), np.ones((2, 3))
    >>> bool(np.allclose(layer(z), layer.plain(z)))
    True
    """

    one_pass: bool = False  # `value_and_gradients` is what it is for

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.output_shape is Layer.output_shape:  # what it stands for says it, whatever its rules
            cls.output_shape = Fusion.output_shape  # type: ignore[method-assign]

    def __init__(self, *layers: Layer) -> None:
        require_layers(type(self), layers)
        self.plain = Sequential(*layers)  # the stack that it stands for

    @classmethod
    def takes(cls, *layers: Any) -> bool:
        """Whether these layers, of the types that it is made for, are run by it; asked once for each cost."""
        return True

    @property
    def layers(self) -> tuple[Any, ...]:
        """Those that it stands for, from the lowest up."""
        return self.plain.layers

    def children(self) -> Sequence[tuple[str, Layer]]:
        return self.plain.children()

    def output_shape(self, shape: Shapes) -> Shapes:
        return self.plain.output_shape(shape)

    def forward(self, z: Any, *arguments: Any, **options: Any) -> tuple[Any, Any]:
        return self.plain.forward(z, *arguments, **options)

    def backward(self, delta: Delta, cache: Any) -> Delta:
        self._require_plain("2: backward(self, delta, cache) -> dC/dz")
        return self.plain.backward(delta, cache)

    def parameter_gradients(self, delta: Delta, cache: Any) -> Gradients:
        if not self.parameters():
            return {}
        self._require_plain("3: parameter_gradients(self, delta, cache) -> {name: gradient}")
        return self.plain.parameter_gradients(delta, cache)

    def value_and_gradients(self, z: Any, *arguments: Any, **options: Any) -> tuple[Any, Gradients] | None:
        """(C, {name: dC/dparameter}) of a cost of which nobody reads dC/dz; None where the rules are to run instead."""
        return None

    def _require_plain(self, rule: str) -> None:
        """Rule 1 is that of the stack, so that its cache is too (NotImplementedError)."""
        if type(self).forward is not Fusion.forward:
            raise NotImplementedError(f"{type(self).__name__} has a rule 1 of its own, but lacks rule {rule}")

    @staticmethod
    def named(gradients: Gradients) -> Gradients:
        """The gradients of the lowest layer by their names in the fusion."""
        return {f"0.{name}": gradient for name, gradient in gradients.items()}
