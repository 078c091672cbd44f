"""Sequential: layers one on top of the other.  A stack of layers obeys the three rules, and so is a layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

from minigrad.checks import ShapeError, explain_arguments, label, require_caches, require_layers, require_pair
from minigrad.containers.base import Container
from minigrad.layer import Layer
from minigrad.shapes import shapes_of
from minigrad.typing import Delta, Gradients, Input, Shapes


class Sequential(Container):
    """Layers one on top of the other: z^{l+1} = f^l(z^l; theta^l).

        forward              upwards; what comes after z goes to the layer on top, a loss, which takes a target
        backward             downwards: delta^l = delta^{l+1} . dz^{l+1}/dz^l
        parameter_gradients  the same descent, but no further than the lowest layer that has parameters

    For other rules wrap a stack in a Container of your own, rather than subclass it: what follows from the rules here,
    such as `backpropagate`, would not run those of a subclass.

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
        require_layers(Sequential, layers)
        self._layers = layers
        self._children = tuple((str(i), layer) for i, layer in enumerate(layers))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """From the lowest to the one on top.  To change them make another Sequential: it shares the parameters."""
        return self._layers

    def children(self) -> Sequence[tuple[str, Layer]]:
        return self._children

    def output_shape(self, shape: Shapes) -> Shapes:
        for i, layer in enumerate(self._layers):
            if i and shape is None:  # of the layer below
                who = f"{self.outline()}: layer {i - 1}, {label(self._layers[i - 1])},"
                raise NotImplementedError(f"{who} does not say its output shape: write output_shape(self, shape)")
            try:
                shape = layer.output_shape(shape)
            except Exception as error:
                self.add_place(error, i)
                if not isinstance(error, NotImplementedError):
                    self._add_below(error, i, shape)
                raise
        return shape

    def forward(self, z: Input, *arguments: Any, **options: Any) -> tuple[Any, Any]:
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

    def __call__(self, z: Input, *arguments: Any, **options: Any) -> Any:
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
            self._add_above(error, i)
            raise
        return delta

    def backpropagate(self, delta: Delta, caches: Any) -> tuple[Delta, Gradients]:
        require_caches(self, caches, len(self._layers))
        return self.descend(delta, list(caches), to_input=True)

    def parameter_gradients(self, delta: Delta, caches: Any) -> Gradients:
        require_caches(self, caches, len(self._layers))
        # The delta of the bottom input is often the widest product of all, and nobody reads it.
        return self.descend(delta, list(caches), to_input=False)[1]

    def descend(self, delta: Delta, caches: list[Any], to_input: bool) -> tuple[Delta, Gradients]:
        """Rules 2 and 3 from the top down to the input, or to rule 3 of the lowest layer that has parameters.

        It uses up the list, one cache for each layer: where nobody else holds them, a layer can let its cache and its
        delta go as soon as it has done with them.
        """
        arrays = [layer.parameters() for layer in self._layers]
        lowest = -1 if to_input else next((i for i, named in enumerate(arrays) if named), len(self._layers))
        gradients: list[Gradients] = [{}] * len(self._layers)
        deltas = [delta]  # the one of now; a name for it would keep it
        del delta
        i = 0
        try:
            for i in range(len(self._layers) - 1, lowest, -1):
                *deltas, gradients[i] = self._layers[i].backpropagate(deltas.pop(), caches.pop())
            if 0 <= lowest < len(self._layers):
                i = lowest
                gradients[i] = self._layers[i].parameter_gradients(deltas.pop(), caches.pop())
        except Exception as error:
            self.add_place(error, i)
            self._add_above(error, i)
            raise
        return deltas.pop() if deltas else None, self.gather(gradients, arrays)

    def _explain(self, error: Exception, i: int, z: Input, arguments: Any, options: Any) -> None:
        """Note on `error`, raised going up through layer `i`, what that layer takes and where it stands."""
        on_top = i == len(self._layers) - 1
        explain_arguments(
            error, self._layers[i], (z, *arguments) if on_top else (z,), options if on_top else {}, on_top
        )
        self.add_place(error, i)
        if i and _is_of_shape(error, self._layers[i], z):
            self._add_below(error, i, shapes_of(z))

    def _add_below(self, error: Exception, i: int, shape: Shapes) -> None:
        """Note on `error`, of a z that does not fit layer `i`, which layer gave it."""
        if i:
            self.add_neighbour(error, f"layer {i - 1} below it, {label(self._layers[i - 1])}, gives z of shape {shape}")

    def _add_above(self, error: Exception, i: int) -> None:
        """Note on `error`, where that is of a delta that does not fit layer `i`, which layer gave it."""
        if isinstance(error, ShapeError) and i + 1 < len(self._layers):
            self.add_neighbour(
                error, f"layer {i + 1} above it, {label(self._layers[i + 1])}, gives that delta by rule 2"
            )

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

    def with_inserted(self, place: int, layer: Layer) -> Sequential:
        """Another stack of the same layers, with `layer` below what stands at `place`; this one is unchanged."""
        if not -len(self) <= place <= len(self):
            raise self._no_place(place)
        layers = list(self._layers)
        layers.insert(place, layer)
        return Sequential(*layers)

    def with_removed(self, place: int) -> Sequential:
        """Another stack of the same layers, without that at `place`; this one is unchanged."""
        place = self._place(place)
        return Sequential(*self._layers[:place], *self._layers[place + 1 :])

    def with_replaced(self, place: int, layer: Layer) -> Sequential:
        """Another stack of the same layers, with `layer` for that at `place`; this one is unchanged."""
        place = self._place(place)
        return Sequential(*self._layers[:place], layer, *self._layers[place + 1 :])

    def _place(self, place: int) -> int:
        if not -len(self) <= place < len(self):
            raise self._no_place(place)
        return place % len(self)

    def _no_place(self, place: int) -> IndexError:
        return IndexError(f"{self.outline()} has {len(self)} layers, and no place {place}: count from 0")


def _is_of_shape(error: Exception, layer: Layer, z: Input) -> bool:
    """What `layer` says against z is what it declares against its shape alone; one that declares none is not run."""
    if type(layer).output_shape is Layer.output_shape or not isinstance(error, ValueError | TypeError):
        return False
    try:
        layer.output_shape(shapes_of(z))
    except Exception as misfit:
        return misfit.args == error.args
    return False
