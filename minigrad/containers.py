"""Containers: how the three rules compose.  A stack of layers obeys the same three rules, and so is a layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

from minigrad.checks import explain_arguments, kind, require_caches, require_gradients, require_pair
from minigrad.layer import Layer
from minigrad.typing import Array, Delta, Gradients


class Container(Layer):
    """A layer made of layers.  Subclasses give `children` and the rules; names and sharing are looked after here.

    A parameter is named after its place: "inner.weight" is the weight of child "inner".  An array that stands in
    several places has the name of the first, and its gradient is the sum over the places.  Rule 3 hands the gradients
    of the children, in the order of `children`, to `gather`, which names and adds them:

    >>> from minigrad import Linear
    >>> class Residual(Container):
    ...     def __init__(self, inner):
    ...         self.inner = inner
    ...     def children(self):
    ...         return [("inner", self.inner)]
    ...     def forward(self, z):
    ...         z_next, cache = self.inner.forward(z)
    ...         return z + z_next, cache
    ...     def backward(self, delta, cache):
    ...         return delta + self.inner.backward(delta, cache)
    ...     def parameter_gradients(self, delta, cache):
    ...         return self.gather([self.inner.parameter_gradients(delta, cache)])
    >>> list(Residual(Linear(3, 3)).parameters())
    ['inner.weight', 'inner.bias']
    """

    @property
    def complex_safe(self) -> bool:  # type: ignore[override]
        """As all of its children are."""
        return all(child.complex_safe for _, child in self.children())

    @property
    def rows_independent(self) -> bool:  # type: ignore[override]
        """As they are in all of its children."""
        return all(child.rows_independent for _, child in self.children())

    def children(self) -> Sequence[tuple[str, Layer]]:
        """(name, layer) for each layer inside, in order."""
        raise NotImplementedError(f"{type(self).__name__} lacks children(self) -> [(name, layer), ...]")

    def parameters(self) -> dict[str, Array]:
        named: dict[str, Array] = {}
        seen = set()
        for child_name, child in self.children():
            for name, array in child.parameters().items():
                if id(array) not in seen:
                    seen.add(id(array))
                    named[f"{child_name}.{name}"] = array
        return named

    def parameter_places(self) -> list[tuple[str, Layer, str]]:
        return [
            (f"{child_name}.{name}", owner, attribute)
            for child_name, child in self.children()
            for name, owner, attribute in child.parameter_places()
        ]

    def gather(self, gradients: Sequence[Gradients], arrays: Sequence[dict[str, Array]] | None = None) -> Gradients:
        """The gradients of this container's parameters, from those of its children in the order of `children`.

        `arrays`, the parameters of each child, saves looking them up again.
        """
        if arrays is None:
            arrays = [child.parameters() for _, child in self.children()]
        total: Gradients = {}
        first_places: dict[int, str] = {}
        for (child_name, child), of_child, own in zip(self.children(), gradients, arrays, strict=True):
            if not (own or of_child):
                continue
            try:
                require_gradients(child, own, of_child)
            except Exception as error:
                self.add_place(error, child_name)
                raise
            for name, array in own.items():
                first = first_places.setdefault(id(array), f"{child_name}.{name}")
                total[first] = total[first] + of_child[name] if first in total else of_child[name]
        return total

    def outline(self) -> str:
        """The kinds of its children in one line."""
        return f"{type(self).__name__}({', '.join(type(child).__name__ for _, child in self.children())})"

    def add_place(self, error: Exception, place: int | str) -> None:
        """Note on `error` in which layer it arose."""
        error.add_note(f"in layer {place} of {self.outline()}")

    def __repr__(self) -> str:
        lines = "".join("\n" + f"{name}: {child!r}" for name, child in self.children()).replace("\n", "\n  ")
        return f"{type(self).__name__}({lines}\n)" if lines else f"{type(self).__name__}()"


class Sequential(Container):
    """Layers one on top of the other: z^{l+1} = f^l(z^l; theta^l).

        forward              upwards; what comes after z goes to the layer on top, a loss, which takes a target
        backward             downwards: delta^l = delta^{l+1} . dz^{l+1}/dz^l
        parameter_gradients  the same descent, but no further than the lowest layer that has parameters

    It iterates over its layers; `[i]` is one of them, and a slice is a Sequential of the same layers, with the same
    parameters: `cost[:-1]` is the model below the loss.  One layer may stand in several places.

    >>> from minigrad import Linear, NLLLoss, LogSoftmax, Tanh
    >>> cost = Sequential(Linear(4, 3), Tanh(), Linear(3, 2), LogSoftmax(), NLLLoss())
    >>> cost[:-1]
    Sequential(
      0: Linear(4 -> 3)
      1: Tanh()
      2: Linear(3 -> 2)
      3: LogSoftmax()
    )
    >>> {name: array.shape for name, array in cost.parameters().items()}
    {'0.weight': (3, 4), '0.bias': (3,), '2.weight': (2, 3), '2.bias': (2,)}
    """

    def __init__(self, *layers: Layer) -> None:
        for i, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                if isinstance(layer, type) and issubclass(layer, Layer):
                    fix = f"make one, {layer.__name__}(...)"
                elif isinstance(layer, list | tuple):
                    fix = "unpack it, Sequential(*layers)"
                else:
                    fix = "a function becomes a layer as a subclass of Layer or Elementwise"
                raise TypeError(f"Sequential expects layers, got {kind(layer)} as layer {i}: {fix}")
        self._layers = layers
        self._children = tuple((str(i), layer) for i, layer in enumerate(layers))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """From the lowest to the one on top.  To change them make another Sequential: it shares the parameters."""
        return self._layers

    def children(self) -> Sequence[tuple[str, Layer]]:
        return self._children

    def forward(self, z: Array, *arguments: Any, **options: Any) -> tuple[Array, Any]:
        top = self._top(arguments, options)
        caches: list[Any] = []
        i = 0
        try:
            for i, layer in enumerate(self._layers):
                result = layer.forward(z) if i < top else layer.forward(z, *arguments, **options)
                require_pair(layer, result)
                z, cache = result
                caches.append(cache)
        except Exception as error:
            self._explain(error, i, z, arguments, options)
            raise
        return z, tuple(caches)

    def __call__(self, z: Array, *arguments: Any, **options: Any) -> Array:
        top = self._top(arguments, options)
        i = 0
        try:
            for i, layer in enumerate(self._layers):
                z = layer(z) if i < top else layer(z, *arguments, **options)
        except Exception as error:
            self._explain(error, i, z, arguments, options)
            raise
        return z

    def backward(self, delta: Delta, caches: Any) -> Delta:
        require_caches(self, caches, len(self._layers))
        i = 0
        try:
            for i in reversed(range(len(self._layers))):
                delta = self._layers[i].backward(delta, caches[i])
        except Exception as error:
            self.add_place(error, i)
            raise
        return delta

    def backpropagate(self, delta: Delta, caches: Any) -> tuple[Delta, Gradients]:
        return self._descend(delta, caches, to_input=True)

    def parameter_gradients(self, delta: Delta, caches: Any) -> Gradients:
        # The delta of the bottom input is often the widest product of all, and nobody reads it.
        return self._descend(delta, caches, to_input=False)[1]

    def _descend(self, delta: Delta, caches: Any, to_input: bool) -> tuple[Delta, Gradients]:
        """Rules 2 and 3 from the top down to the input, or to rule 3 of the lowest layer that has parameters."""
        require_caches(self, caches, len(self._layers))
        arrays = [layer.parameters() for layer in self._layers]
        lowest = -1 if to_input else next((i for i, named in enumerate(arrays) if named), len(self._layers))
        gradients: list[Gradients] = [{}] * len(self._layers)
        i = 0
        try:
            for i in range(len(self._layers) - 1, lowest, -1):
                delta, gradients[i] = self._layers[i].backpropagate(delta, caches[i])
            if 0 <= lowest < len(self._layers):
                i = lowest
                gradients[i] = self._layers[i].parameter_gradients(delta, caches[i])
        except Exception as error:
            self.add_place(error, i)
            raise
        return delta, self.gather(gradients, arrays)

    def _explain(self, error: Exception, i: int, z: Array, arguments: Any, options: Any) -> None:
        """Note on `error`, raised going up through layer `i`, what that layer takes and where it stands."""
        on_top = i == len(self._layers) - 1
        explain_arguments(
            error, self._layers[i], (z, *arguments) if on_top else (z,), options if on_top else {}, on_top
        )
        self.add_place(error, i)

    def _top(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> int:
        """The place of the layer on top, which takes the further arguments."""
        if (arguments or options) and not self._layers:
            raise TypeError("Sequential() is empty: it has no loss on top that could take a target")
        return len(self._layers) - 1

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    @overload
    def __getitem__(self, place: int) -> Layer: ...
    @overload
    def __getitem__(self, place: slice) -> Sequential: ...
    def __getitem__(self, place: int | slice) -> Layer | Sequential:
        return Sequential(*self._layers[place]) if isinstance(place, slice) else self._layers[place]
