"""A layer at one input: its rules run one by one, under guard, with the arrays that derivatives are taken for."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.checks import kind, label, require_pair
from minigrad.layer import Layer
from minigrad.testing.randomness import Randomness
from minigrad.testing.watch import TookTooLong, Watch
from minigrad.typing import Array, Gradients


class RuleError(Exception):
    """A rule of the layer raised, took too long, or returned what it may not."""

    def __init__(self, rule: int, error: BaseException, code: str = "raises") -> None:
        super().__init__(rule, error)
        self.rule, self.error = rule, error
        self.code = "mutation" if code == "raises" and isinstance(error, ValueError) and _writes(error) else code


class Subject:
    """A layer, one input z (an array, or a tuple of arrays) and the further arguments of rule 1.

    `arrays` holds what derivatives are taken for: z, or z[0], z[1], ..., and the parameters by name.
    """

    def __init__(
        self, layer: Layer, z: Any, arguments: tuple[Any, ...], watch: Watch, randomness: Randomness | None = None
    ) -> None:
        self.layer, self.z, self.arguments, self.watch = layer, z, arguments, watch
        inputs = {f"z[{i}]": part for i, part in enumerate(z)} if type(z) is tuple else {"z": z}
        self.inputs = {name: part for name, part in inputs.items() if part.dtype.kind == "f"}
        self.parameters = self._guard(0, layer.parameters)
        self.arrays: dict[str, Array] = {**self.inputs, **self.parameters}
        self.stochastic = False
        self.protected = True
        self.slow = False  # so that fewer points are looked at
        self._randomness = Randomness(layer) if randomness is None else randomness

    def at(self, z: Any, arguments: tuple[Any, ...]) -> Subject:
        """The same layer at another input."""
        other = Subject(self.layer, z, arguments, self.watch, self._randomness)
        other.stochastic, other.protected, other.slow = self.stochastic, self.protected, self.slow
        return other

    # The rules, each under guard.

    def forward(self) -> tuple[Array, Any]:
        """Rule 1: (z_next, cache)."""
        self.rewind()
        arguments = self._handed_out((self.z, *self.arguments))
        result = self._guard(1, self.layer.forward, *arguments)
        try:
            require_pair(self.layer, result)
        except TypeError as error:
            raise RuleError(1, error, "wrong_type") from error
        z_next, cache = result
        if not isinstance(z_next, np.ndarray | np.generic | float) or np.asarray(z_next).dtype.kind not in "fc":
            problem = f"rule 1 of {label(self.layer)} must return z_next as an array of a floating type"
            raise RuleError(1, TypeError(f"{problem}, got {kind(z_next)}"), "wrong_type")
        return z_next, self._handed_out(cache)  # type: ignore[return-value]  # a number counts as an array here

    def backward(self, delta: Any, cache: Any) -> dict[str, Array]:
        """Rule 2: the delta of each input, by the name of the input."""
        result = self._guard(2, self.layer.backward, self._handed_out(delta), cache)
        parts = result if type(self.z) is tuple else (result,)
        if type(self.z) is tuple and (type(result) is not tuple or len(result) != len(self.z)):
            problem = f"rule 2 of {label(self.layer)} must return a tuple of {len(self.z)} deltas, one for each input"
            raise RuleError(2, TypeError(f"{problem}, got {kind(result)}"), "wrong_type")
        names = [f"z[{i}]" for i in range(len(self.z))] if type(self.z) is tuple else ["z"]
        deltas = {name: part for name, part in zip(names, parts, strict=True) if name in self.inputs}
        for part in deltas.values():
            if not isinstance(part, np.ndarray | np.generic) or part.dtype.kind not in "fc":
                problem = f"rule 2 of {label(self.layer)} must return dC/dz, an array of a floating type"
                raise RuleError(2, TypeError(f"{problem}, got {kind(part)}"), "wrong_type")
        return {name: np.asarray(part) for name, part in deltas.items()}

    def parameter_gradients(self, delta: Any, cache: Any) -> Gradients:
        """Rule 3: the gradients by name, of any names and shapes."""
        result = self._guard(3, self.layer.parameter_gradients, self._handed_out(delta), cache)
        if not isinstance(result, dict):
            problem = f"rule 3 of {label(self.layer)} must return a dictionary {{name: array}}, got {kind(result)}"
            raise RuleError(3, TypeError(problem), "wrong_type")
        for name, array in result.items():
            if not isinstance(array, np.ndarray | np.generic) or array.dtype.kind not in "fc":
                problem = f"rule 3 of {label(self.layer)} must give for {name!r} an array of a floating type"
                raise RuleError(3, TypeError(f"{problem}, got {kind(array)}"), "wrong_type")
        return {str(name): np.asarray(array) for name, array in result.items()}

    def rules(self, delta: Any, cache: Any) -> dict[str, Array]:
        """Rules 2 and 3: the derivative for every array, by its name."""
        return self.backward(delta, cache) | self.parameter_gradients(delta, cache)

    # Rule 1 as a function of one array.

    def output_of(self, name: str, dtype: Any = float) -> Callable[[Array], Array]:
        """The output of rule 1 as a function of the array `name`, all else fixed; outside its domain it raises."""
        moving, layer = self.arrays[name].astype(dtype), self.layer
        if name not in self.inputs:
            self.rewind()
            layer = self._guard(0, layer.with_parameters, {name: moving})
        randomness = Randomness(layer) if self.stochastic and layer is not self.layer else self._randomness

        def output(array: Array) -> Array:
            if self.stochastic:
                randomness.rewind()
            z = self.z
            if name in self.inputs:
                z = self.with_input(name, array)
            else:
                moving[...] = array
            try:
                return self._guard(1, layer.forward, *self._handed_out((z, *self.arguments)))[0]
            except RuleError as failure:
                if isinstance(failure.error, ValueError | ArithmeticError):
                    raise failure.error from None
                raise

        return output

    def with_input(self, name: str, array: Array) -> Any:
        """z with one of its arrays replaced."""
        if type(self.z) is not tuple:
            return array
        return tuple(array if f"z[{i}]" == name else part for i, part in enumerate(self.z))

    def rewind(self) -> None:
        """Wind the generators of a stochastic layer back, before it is run or copied."""
        if self.stochastic:
            self._randomness.rewind()

    @property
    def has_drawn(self) -> bool:
        """The layer has drawn random numbers since this subject was made."""
        return self._randomness.used

    def _guard(self, rule: int, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return self.watch.call(function, *arguments)
        except TookTooLong as error:
            raise RuleError(rule, error, "hangs") from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise RuleError(rule, error) from error

    def _handed_out(self, value: Any) -> Any:
        return read_only(value) if self.protected else copied(value)


def read_only(value: Any) -> Any:
    """`value` with its arrays, and those in tuples, lists and dictionaries, as views that cannot be written to."""
    if isinstance(value, np.ndarray):
        view = value.view()
        view.flags.writeable = False
        return view
    return _inside(read_only, value)


def copied(value: Any) -> Any:
    """`value` with copies of its arrays, which may be written to."""
    return value.copy() if isinstance(value, np.ndarray) else _inside(copied, value)


def _inside(function: Callable[[Any], Any], value: Any) -> Any:
    if type(value) in (tuple, list):
        return type(value)(function(item) for item in value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(function(item) for item in value))
    if type(value) is dict:
        return {key: function(item) for key, item in value.items()}
    return value


def freeze(layer: Layer) -> Layer:
    """`layer`, whose parameters can no longer be written to."""
    for array in layer.parameters().values():
        array.flags.writeable = False
    return layer


def clone(layer: Layer) -> Layer:
    """An independent copy of a layer and all that it holds."""
    return copy.deepcopy(layer)


def _writes(error: ValueError) -> bool:
    return "read-only" in str(error) or "assignment destination" in str(error)
