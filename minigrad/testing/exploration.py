"""A whole test of a layer in one line: the fixed cases of check_layer, then what Hypothesis finds.

test_scale = layer_test(Scale(4), ("batch", 4))
test_loss = layer_test(MyLoss, ("batch", 3), indices(3, "batch"))
test_all = layers_in("mypackage")
"""

from __future__ import annotations

import functools
import re
import sys
import time
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from minigrad.checks import kind, require_layer
from minigrad.layer import Layer
from minigrad.testing.check import created, diagnose
from minigrad.testing.discovery import NotCheckedError, Recipe, described, found_input, layers_of, make, recipe_of_call
from minigrad.testing.report import Diagnosis, Finding, GradientContractError
from minigrad.testing.strategies import fitted, inputs, parameters, reals  # says so where Hypothesis is absent
from minigrad.testing.watch import watching

# isort: split
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

__all__ = ["layer_test", "layers_in"]

MOST_NUMBERS = 400  # that are written out in a regression test
SHRINKING = 20.0  # seconds after a failure, beyond which no smaller example is looked for


class Example(NamedTuple):
    """What one call of the checker takes."""

    layer: Layer
    z: Any
    arguments: tuple[Any, ...]
    rng: int
    cases: str = "given"

    def diagnose(self, patience: float) -> Diagnosis:
        """All that is wrong there."""
        return diagnose(self.layer, self.z, *self.arguments, rng=self.rng, cases=self.cases, patience=patience)


def layer_test(
    layer: Layer | Callable[[], Layer], z: Any = None, *arguments: Any, examples: int | None = None, rng: int = 0
) -> Callable[[], None]:
    """A test function for `layer`, or for what a function or class makes: bind it to a name test_... .

    `z` is a shape such as ("batch", 5), an array, a strategy, or None to find one; `arguments` are what rule 1 takes
    after z, as values or strategies.  `examples` are how many Hypothesis draws, else those of its profile.  A failure
    is shrunk, and its message ends with a regression test.
    """
    if not isinstance(layer, Layer) and not callable(layer):
        raise TypeError(f"layer_test expects a layer, or a function that makes one, got {kind(layer)}")
    if z is None and arguments:
        raise TypeError("layer_test expects z where further arguments are given: a shape, an array or a strategy")
    recipe = recipe_of_call(layer, sys._getframe(1))

    def test() -> None:
        __tracebackhide__ = True
        made = layer if isinstance(layer, Layer) else layer()
        examine(made, recipe or described(made), z, arguments, examples=examples, rng=rng)

    return test


def layers_in(
    package: str | ModuleType,
    make: Mapping[str, Any] | None = None,
    skip: Mapping[str, str] | None = None,
    shapes: Mapping[str, Any] | None = None,
    examples: int | None = None,
) -> Callable[..., None]:
    """A test function, parametrised by every concrete layer class that is defined in a module or package.

    `make` says how to make an instance of a class where trying does not, `shapes` what z is, as in `layer_test`, and
    `skip` why a class is left out; each by the name of the class, with or without its module.
    """
    try:
        import pytest
    except ImportError as error:
        raise ImportError("layers_in needs pytest: pip install 'minigrad[test]'") from error
    found = layers_of(package)
    options = {"make": make or {}, "skip": skip or {}, "shapes": shapes or {}}
    names = {*found.classes, *(name.rpartition(".")[2] for name in found.classes)}
    if not found.classes and not found.broken:
        raise ValueError(
            f"layers_in found no layer in {getattr(package, '__name__', package)}: are they defined there?"
        )
    for option, mapping in options.items():
        if unknown := [name for name in mapping if name not in names]:
            raise ValueError(f"layers_in: {option} names {', '.join(unknown)}, but the layers are {sorted(names)}")

    def chosen(option: str, name: str) -> Any:
        return options[option].get(name, options[option].get(name.rpartition(".")[2]))

    def marks(name: str) -> list[Any]:
        return [pytest.mark.skip(reason=chosen("skip", name))] if chosen("skip", name) else []

    @pytest.mark.parametrize("name", [pytest.param(n, marks=marks(n), id=n) for n in (*found.classes, *found.broken)])
    def test(name: str) -> None:
        __tracebackhide__ = True
        if name in found.broken:
            raise NotCheckedError(f"not checked: module {name} cannot be imported") from found.broken[name]
        examine_class(found.classes[name], chosen("make", name), chosen("shapes", name), examples=examples)

    return test


def examine_class(
    cls: type[Layer], made_by: Any = None, z: Any = None, *, examples: int | None = None, rng: int = 0
) -> Diagnosis:
    """Make one and examine it (NotCheckedError, GradientContractError)."""
    __tracebackhide__ = True
    layer, recipe = make(cls, made_by)
    return examine(layer, recipe, z, (), examples=examples, rng=rng)


def examine(
    layer: Layer,
    recipe: Recipe,
    z: Any = None,
    arguments: tuple[Any, ...] = (),
    *,
    examples: int | None = None,
    rng: int = 0,
    patience: float = 5.0,
) -> Diagnosis:
    """The fixed cases, then what Hypothesis finds (GradientContractError with a regression test in its message)."""
    __tracebackhide__ = True
    require_layer(layer_test, layer)
    first = _first(layer, z, arguments, rng)
    diagnosis = first.diagnose(patience)
    drawn = None
    if z is None and not (isinstance(first.z, np.ndarray) and first.z.dtype.kind == "f"):
        z, arguments = first.z, first.arguments  # several arrays, or indices: explored are the parameters
    with watching(patience) as watch:
        layer = created(layer, first.z, first.arguments, watch)
    if all(f.cause != "hangs" for f in diagnosis.findings):
        drawn = explore(_examples(layer, z, arguments), patience, examples)
    if drawn is None and diagnosis.ok:
        return diagnosis
    smallest, of_smallest = drawn or (first, diagnosis)
    said = [] if diagnosis.ok else [str(diagnosis)]
    if drawn is not None:
        said.append(f"{'The smallest example that was found' if said else 'found by Hypothesis'}: {of_smallest}")
    code = regression(recipe, smallest)
    print(code)  # pytest shows it as captured output too, without the marks at the beginning of each line
    error = failure_class(diagnosis.findings or of_smallest.findings)(diagnosis if not diagnosis.ok else of_smallest)
    error.args = ("\n".join([*said, "", "A regression test to paste:", "", code]),)
    raise error


def explore(
    strategy: SearchStrategy[Example], patience: float, examples: int | None
) -> tuple[Example, Diagnosis] | None:
    """The smallest example at which something is wrong, or None where none was found."""
    failures: dict[str, tuple[Example, Diagnosis]] = {}
    end = float("inf")

    @_settings(examples or settings().max_examples)
    @given(strategy)
    def check(example: Example) -> None:
        nonlocal end
        key = _key(example)
        if key in failures:
            failures[key] = failures.pop(key)  # the last one is the one that Hypothesis shows
        elif time.monotonic() < end:
            diagnosis = example.diagnose(patience)
            if not diagnosis.findings:
                return
            hangs = any(f.cause == "hangs" for f in diagnosis.findings)
            end = 0.0 if hangs else min(end, time.monotonic() + SHRINKING)
            failures[key] = example, diagnosis
        else:
            return
        raise failure_class(failures[key][1].findings)(failures[key][1])

    try:
        check()
    except GradientContractError:
        return next(reversed(failures.values()))
    return None


def failure_class(findings: tuple[Finding, ...]) -> type[GradientContractError]:
    """A class of its own for each cause, so that Hypothesis does not shrink one finding into another."""
    return _failure_class(findings[0].rule, findings[0].cause) if findings else GradientContractError


@functools.cache
def _failure_class(rule: int, cause: str) -> type[GradientContractError]:
    name = f"Rule{rule}{cause.title().replace('_', '')}Error" if rule else f"{cause.title().replace('_', '')}Error"
    return type(name, (GradientContractError,), {"__module__": __name__})


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        print_blob=False,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


def _key(example: Example) -> str:
    arrays = [(name, array.tolist()) for name, array in example.layer.parameters().items()]
    return repr((arrays, _code(example.z), [_code(a) for a in example.arguments], example.rng))


def _is_shape(z: Any) -> bool:
    return type(z) is tuple and all(isinstance(entry, int | str) for entry in z)


@st.composite
def _examples(draw: st.DrawFn, layer: Layer, z: Any, arguments: tuple[Any, ...]) -> Example:
    """The layer with any parameters, at any input, in its domain where the input was not given as a strategy."""
    own = draw(parameters(layer))
    rng = draw(st.integers(0, 99))
    if z is None:
        found, *others = draw(inputs(own))
        return Example(own, found, tuple(others), rng)
    values = tuple(draw(a) if isinstance(a, SearchStrategy) else a for a in arguments)
    real = isinstance(z, np.ndarray) and z.dtype.kind == "f"
    if not (real or _is_shape(z)):
        given_z = draw(z) if isinstance(z, SearchStrategy) else z
        return Example(own if fitted(own, given_z, values, 1) is not None else layer, given_z, values, rng)
    moved = fitted(own, draw(reals(*(z if _is_shape(z) else np.shape(z)))), values)
    assume(moved is not None)
    return Example(own, moved, values, rng)


def _first(layer: Layer, z: Any, arguments: tuple[Any, ...], rng: int) -> Example:
    """An ordinary example, for the fixed cases."""
    if z is None:
        return Example(layer, *found_input(layer, rng), rng, "all")
    if not _is_shape(z) and not any(isinstance(a, SearchStrategy) for a in (z, *arguments)):
        return Example(layer, z, arguments, rng, "all")
    seen: list[Example] = []
    _settings(20)(given(_examples(layer, z, arguments))(lambda example: seen.append(example)))()
    best = max(seen, key=lambda e: (np.size(e.z), len(np.unique(e.z))) if type(e.z) is not tuple else (0, 0))
    found = best.z
    if _is_shape(z):
        found = fitted(layer, np.random.default_rng(rng).normal(size=found.shape), best.arguments)
    return Example(layer, best.z if found is None else found, best.arguments, rng, "all")


# The regression test.


def regression(recipe: Recipe, example: Example) -> str:
    """A test function, with its imports, that checks just this example."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(example.layer).__name__).lower()
    made = f"    layer = {recipe.code}{f'  # {recipe.where}' if recipe.where else ''}"
    entries = [f'"{n}": {_code(array)}' for n, array in example.layer.parameters().items()]
    body = [made, f"    layer = layer.with_parameters({{{', '.join(entries)}}})"] if entries else [made]
    given_cases = "" if example.cases == "all" else f', cases="{example.cases}"'
    inputs_code = ", ".join(_code(value) for value in (example.z, *example.arguments))
    if any(
        np.size(a) > MOST_NUMBERS for a in (example.z, *example.layer.parameters().values()) if type(a) is not tuple
    ):
        body.append(f"    # Arrays of more than {MOST_NUMBERS} numbers stand here as zeros: put their numbers in.")
    body.append(f"    check_layer(layer, {inputs_code}, rng={example.rng}{given_cases})")
    lines = sorted({"from minigrad.testing import check_layer", *recipe.imports()} - {"import numpy as np"})
    return "\n".join(["import numpy as np", "", *lines, "", "", f"def test_regression_{name}():", *body, ""])


def _code(value: Any) -> str:
    """An expression for a value, the layout of an array in memory included."""
    if type(value) is tuple:
        return f"({', '.join(map(_code, value))},)"
    if not isinstance(value, np.ndarray):
        return repr(value.item() if isinstance(value, np.generic) else value)
    kept = "" if value.dtype in (np.float64, np.int64) else f', "{value.dtype}"'
    if not value.size or value.size > MOST_NUMBERS:
        return f"np.zeros({value.shape}{kept})"
    if value.flags.c_contiguous:
        return f"np.array({value.tolist()!r}{kept})"
    if value.flags.f_contiguous:
        return f"np.asfortranarray(np.array({value.tolist()!r}{kept}))"
    if value.strides[0] < 0:
        return f"np.array({value[::-1].tolist()!r}{kept})[::-1]"
    return f"np.repeat(np.array({value.tolist()!r}{kept}), 2, axis=-1)[..., ::2]"
