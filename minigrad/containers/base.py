"""Container: what every layer made of layers has in common, the names and the sharing of parameters."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from minigrad.checks import require_gradients
from minigrad.layer import Layer
from minigrad.typing import Array, Delta, Gradients, Input


class Container(Layer):
    """A layer made of layers.  Subclasses give `children` and the rules; names and sharing are looked after here.

    Everything that rule 1 runs must be in `children`: at inference each of them is replaced by what it is there, and so
    it is called by its attribute, self.inner.forward(z), not through another layer that holds it.

    A parameter is named after its place: "inner.weight" is the weight of child "inner".  An array that stands in
    several places has the name of the first, and its gradient is the sum over the places.  Rule 3 hands the gradients
    of the children, in the order of `children`, to `gather`, which names and adds them.  A container may have arrays of
    its own besides, in `parameter_names`.

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

    def __call__(self, z: Input, *arguments: Any, **options: Any) -> Any:
        return self.at_inference().forward(z, *arguments, **options)[0]

    def at_inference(self) -> Layer:
        """The same with its children at inference, and with the same arrays."""
        children = [child for _, child in self.children()]
        forms = {id(child): _form(child) for child in children}
        if all(forms[id(child)] is child for child in children):
            return self
        arrays = {id(value): value for value in vars(self).values() if isinstance(value, np.ndarray)}
        return copy.deepcopy(self, {**arrays, **forms})

    def parameters(self) -> dict[str, Array]:
        named = super().parameters() if self.parameter_names else {}
        seen = {id(array) for array in named.values()}
        for child_name, child in self.children():
            for name, array in child.parameters().items():
                if id(array) not in seen:
                    seen.add(id(array))
                    if f"{child_name}.{name}" in named:
                        raise ValueError(
                            f"{self.outline()} has two parameters of one name, {child_name}.{name}: give each child "
                            "another name in children()"
                        )
                    named[f"{child_name}.{name}"] = array
        return named

    def parameter_places(self) -> list[tuple[str, Layer, str]]:
        return super().parameter_places() + [
            (f"{child_name}.{name}", owner, attribute)
            for child_name, child in self.children()
            for name, owner, attribute in child.parameter_places()
        ]

    def state(self) -> dict[str, Any]:
        return super().state() | {
            f"{child_name}.{name}": value
            for child_name, child in self.children()
            for name, value in child.state().items()
        }

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

    def add_neighbour(self, error: Exception, note: str) -> None:
        """Note on `error` where the array that does not fit comes from, unless a container inside has said so."""
        if not hasattr(error, "says_from_where"):
            error.says_from_where = True  # type: ignore[attr-defined]
            error.add_note(note)

    @contextmanager
    def within(self, place: int | str) -> Iterator[None]:
        """Note on every error that arises inside that it arose in the child `place`."""
        try:
            yield
        except Exception as error:
            self.add_place(error, place)
            raise

    def __repr__(self) -> str:
        lines = "".join("\n" + f"{name}: {child!r}" for name, child in self.children()).replace("\n", "\n  ")
        return f"{type(self).__name__}({lines}\n)" if lines else f"{type(self).__name__}()"


def _form(layer: Layer) -> Any:
    """What stands for `layer` in a container at inference."""
    kind_of = type(layer)
    says_by_call_alone = kind_of.__call__ is not Layer.__call__ and kind_of.at_inference is Layer.at_inference
    return _CalledAlone(layer) if says_by_call_alone else layer.at_inference()


class _CalledAlone:
    """A layer at inference of which only `layer(z)` is known: rule 1, and no other."""

    rows_independent = complex_safe = True

    def __init__(self, layer: Layer) -> None:
        self.layer = layer

    def forward(self, z: Input, *arguments: Any, **options: Any) -> tuple[Any, None]:
        return self.layer(z, *arguments, **options), None

    def backward(self, delta: Delta, cache: None) -> Delta:
        raise NotImplementedError(
            f"{type(self.layer).__name__} says by __call__ alone what it is at inference: write at_inference(self) -> "
            "a layer with three rules, so that deltas can flow through it"
        )

    def __call__(self, z: Input, *arguments: Any, **options: Any) -> Any:
        return self.layer(z, *arguments, **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.layer, name)

    def __repr__(self) -> str:
        return repr(self.layer)
