"""Finding the layers of a package, and making one of each."""

from __future__ import annotations

import ast
import builtins
import dis
import importlib
import importlib.util
import inspect
import linecache
import os
import pkgutil
import re
import sys
import typing
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from minigrad.checks import label
from minigrad.layer import Layer
from minigrad.layers import Linear, Tanh
from minigrad.losses import MSELoss
from minigrad.testing.cases import find_input


class Recipe(NamedTuple):
    """How a layer is made: an expression, what its names stand for, and where it was written."""

    code: str
    names: Mapping[str, Any] = {}
    where: str = ""

    def make(self) -> Any:
        """The value of the expression."""
        return eval(self.code, dict(self.names))

    def imports(self) -> list[str]:
        """The lines that import its names, those that can be imported."""
        lines = (import_of(name, value) for name, value in self.names.items() if re.search(rf"\b{name}\b", self.code))
        return sorted({line for line in lines if line})


class NotCheckedError(Exception):
    """A layer could not be made, or no input for it was found: it counts as a failure, as nothing is known of it."""


class Found(NamedTuple):
    """The layers of a package, and the modules of it that cannot be imported."""

    classes: dict[str, type[Layer]]  # by module and name
    broken: dict[str, Exception]


def import_of(name: str, value: Any) -> str:
    """The line that imports `value` under `name`, from the top of its package where it stands there; or nothing."""
    if isinstance(value, ModuleType):
        return f"import {value.__name__}" if value.__name__ == name else f"import {value.__name__} as {name}"
    home = getattr(value, "__module__", None)
    if not isinstance(home, str) or home in ("builtins", "__main__") or getattr(builtins, name, None) is value:
        return ""
    for module in (home.split(".")[0], home):
        if module in sys.modules and getattr(sys.modules[module], name, None) is value:
            return f"from {module} import {name}"
    return ""


def load(package: str) -> ModuleType:
    """The module of a dotted name, or of a path to a .py file (ImportError where it cannot be imported)."""
    if not package.endswith(".py"):
        return importlib.import_module(package)
    path = Path(package).resolve()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.exists() or spec is None or spec.loader is None:
        raise ImportError(f"there is no file {package}")
    loaded = sys.modules.get(path.stem)
    if loaded is not None and getattr(loaded, "__file__", None) != str(path):
        raise ImportError(f"{package}: another module of the name {path.stem} is loaded already, rename the file")
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def layers_of(package: str | ModuleType) -> Found:
    """Every concrete layer class that is defined in a module or package, submodules included (ImportError).

    A class named with an underscore that has subclasses is what these have in common, and no layer.
    """
    module = load(package) if isinstance(package, str) else package
    found = Found({}, {})
    for part in _modules(module, found.broken):
        for value in vars(part).values():
            if isinstance(value, type) and issubclass(value, Layer) and value.__module__ == part.__name__:
                if is_abstract(value) or (value.__name__.startswith("_") and value.__subclasses__()):
                    continue
                found.classes[f"{part.__name__}.{value.__qualname__}"] = value
    return Found(dict(sorted(found.classes.items())), found.broken)


def is_abstract(cls: type[Layer]) -> bool:
    """Its rule 1, or a method that rule 1 calls, does nothing but raise NotImplementedError."""
    code = getattr(cls.forward, "__code__", None)
    called = [getattr(cls, name, None) for name in (code.co_names if code else ())]
    return inspect.isabstract(cls) or any(_is_stub(method) for method in (cls.forward, *called))


def make(cls: type[Layer], made_by: Any = None) -> tuple[Layer, Recipe]:
    """An instance of `cls`, by `made_by` (a layer, or a function that makes one) or by trying (NotCheckedError)."""
    if made_by is not None:
        try:
            layer = made_by if isinstance(made_by, Layer) else made_by()
        except Exception as error:
            raise NotCheckedError(
                f"not checked: make={{{cls.__name__!r}: ...}} raised {type(error).__name__}: {error}"
            ) from error
        if not isinstance(layer, cls):
            raise NotCheckedError(f"not checked: make={{{cls.__name__!r}: ...}} made {label(layer)}, no {cls.__name__}")
        return layer, described(layer)
    first: tuple[Layer, Recipe] | None = None
    problem: Exception | None = None
    for recipe in _recipes(cls):
        try:
            layer = recipe.make()
        except Exception as error:
            problem = problem or error
            continue
        first = first or (layer, recipe)
        try:
            find_input(layer, np.random.default_rng(0))
        except Exception:
            continue
        return layer, recipe
    if first is not None:
        return first
    tried = f": {type(problem).__name__}: {problem}" if problem else ""
    raise NotCheckedError(
        f"not checked: no arguments were found that make {cls.__name__}{tried}. "
        f"Pass make={{{cls.__name__!r}: lambda: {cls.__name__}(...)}} to layers_in, or give them defaults"
    )


def described(layer: Layer, where: str = "") -> Recipe:
    """A layer as its repr makes it, where that is an expression for it; else as `...`, with the repr as a comment."""
    recipe = Recipe(repr(layer), {type(layer).__name__: type(layer)}, where)
    try:
        twin = recipe.make()
        if type(twin) is type(layer) and repr(vars(twin)) == repr(vars(layer)):
            return recipe
    except Exception:
        pass
    return Recipe("...", {}, f"{' '.join(label(layer).split())}{f', {where}' if where else ''}: write here how")


def recipe_of_call(layer: Any, frame: FrameType) -> Recipe | None:
    """The expression that stands in a call of layer_test for the layer, where the source can be read."""
    file, line = frame.f_code.co_filename, frame.f_lineno
    try:
        source = "".join(linecache.getlines(file))
        calls = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call) and n.args]
    except SyntaxError:
        return None
    named = [n for n in calls if ast.unparse(n.func).rpartition(".")[2] == "layer_test"]
    here = [n for n in named if n.lineno <= line <= (n.end_lineno or n.lineno)]
    if len(here) != 1 or isinstance(here[0].args[0], ast.Starred):
        return None
    node: ast.expr = here[0].args[0]
    code = ast.unparse(node.body if isinstance(node, ast.Lambda) else node)
    if not isinstance(layer, Layer) and not isinstance(node, ast.Lambda):
        code += "()"
    variables = {**frame.f_globals, **frame.f_locals}
    names = {n.id: variables[n.id] for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Name) and n.id in variables}
    where = os.path.relpath(file) if file.startswith(os.getcwd()) else file
    return Recipe(code, names, f"as made in {where}:{line}")


def found_input(layer: Layer, rng: int) -> tuple[Any, tuple[Any, ...]]:
    """An input that rule 1 takes, and its further arguments (NotCheckedError)."""
    try:
        return find_input(layer, np.random.default_rng(rng))
    except Exception as error:
        said = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise NotCheckedError(
            f"not checked: {said}. In layers_in, pass shapes={{{type(layer).__name__!r}: ...}} or make={{...}}"
        ) from error


def _modules(module: ModuleType, broken: dict[str, Exception]) -> Iterator[ModuleType]:
    yield module
    for info in sorted(pkgutil.iter_modules(getattr(module, "__path__", ())), key=lambda info: info.name):
        name = f"{module.__name__}.{info.name}"
        if info.name == "__main__":
            continue
        try:
            part = importlib.import_module(name)
        except Exception as error:
            broken[name] = error
            continue
        yield from _modules(part, broken)


def _is_stub(method: Any) -> bool:
    code = getattr(method, "__code__", None)
    if code is None or "NotImplementedError" not in code.co_names:
        return False
    return not any(i.opname.startswith(("RETURN", "YIELD")) for i in dis.get_instructions(code))


# Which arguments to try.

SIZES = ((3, 2, 4), (4, 2, 6), (4, 2, 2), (2, 2, 2), (1, 1, 1))  # the first that serves; sizes that disagree first
COSTS, STARTS = ("cost", "loss"), ("start", "begin", "first")
LAYER_NAMES = re.compile(r"layer|inner|linear|module|block|body|child|sub|cell|wrapped")
SIZE_NAMES = re.compile(
    r"(^|_)(in|out|n|num|k|d|dim|dims|size|width|height|units|hidden|classes|heads|groups|order)(_|$)"
    r"|feature|channel|kernel|stride|count|length|depth"
)
FLOAT_NAMES = re.compile(r"rate|^p$|prob|alpha|beta|gamma|eps|slope|momentum|scale|temperature|factor|tau|sigma|std")


def _recipes(cls: type[Layer], depth: int = 0) -> Iterator[Recipe]:
    """Expressions that may make an instance, the simplest first."""
    try:
        parameters = list(inspect.signature(cls).parameters.values())
        hints = _hints(cls)
    except (TypeError, ValueError):
        return
    slots = [(p, _kinds(p, hints.get(p.name, p.annotation), depth)) for p in parameters if _is_asked(p)]
    names: dict[str, Any] = {cls.__name__: cls, "np": np}
    for chosen in product(*(kinds for _, kinds in slots)):
        for sizes in SIZES:
            size = iter(sizes * (1 + len(chosen) // 3))
            parts = []
            for (parameter, _), kind in zip(slots, chosen, strict=True):
                code = str(next(size)) if kind == "size" else kind.code if isinstance(kind, Recipe) else kind
                names |= kind.names if isinstance(kind, Recipe) else {}
                keyword = parameter.kind is parameter.KEYWORD_ONLY or _is_seed(parameter)
                parts.append(f"{parameter.name}={code}" if keyword else code)
            yield Recipe(f"{cls.__name__}({', '.join(parts)})", names)
            if "size" not in chosen:
                break


def _hints(cls: type[Layer]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls.__init__)
    except Exception:
        return {}


def _is_seed(parameter: inspect.Parameter) -> bool:
    return parameter.name in ("rng", "seed", "generator", "random_state")


def _is_asked(parameter: inspect.Parameter) -> bool:
    """It has no default, seeds the layer, or takes any number of layers."""
    if parameter.kind is parameter.VAR_POSITIONAL:
        return bool(LAYER_NAMES.search(parameter.name))
    return parameter.kind is not parameter.VAR_KEYWORD and (_is_seed(parameter) or parameter.default is parameter.empty)


def _kinds(parameter: inspect.Parameter, hint: Any, depth: int) -> list[Any]:
    """What to try for a parameter: code, "size" for a whole number of SIZES, or the recipe of a layer."""
    name = parameter.name.lower()
    text = "" if hint is parameter.empty else hint if isinstance(hint, str) else getattr(hint, "__name__", str(hint))
    nested = Recipe("Linear(3, 3, rng=0)", {"Linear": Linear, "Tanh": Tanh})
    if _is_seed(parameter):
        return ["0", "np.random.default_rng(0)"]
    if name in COSTS:
        return [nested._replace(code="Linear(3, 3, rng=0) >> MSELoss()", names={**nested.names, "MSELoss": MSELoss})]
    if isinstance(hint, type) and issubclass(hint, Layer) and hint is not Layer:
        kinds = hint.__subclasses__() if hint.__name__.startswith("_") else [hint]
        return [recipe for cls in kinds for recipe in list(_recipes(cls, depth + 1))[:2]] if depth < 2 else []
    if parameter.kind is parameter.VAR_POSITIONAL:
        return [nested._replace(code="Linear(3, 4, rng=0), Tanh()")]
    if "Layer" in text or (not text and LAYER_NAMES.search(name)):
        many = name.endswith("s") or "[" in text
        return [nested._replace(code=f"[{nested.code}, Tanh()]")] * many + [nested]
    if name in STARTS:
        return ["1", "0"]
    if "bool" in text:
        return ["True"]
    if text == "Sequence":
        return ["((1, 2),)", "(3,)", "(0.3, 0.7)"]
    if "tuple" in text or "shape" in name:
        return ["(3,)", "(3, 2)", "size"]
    if re.search(r"\bint", text) or (not text and SIZE_NAMES.search(name)):
        return ["size"]
    if "float" in text or (not text and FLOAT_NAMES.search(name)):
        return ["0.5"]
    return ["size", "0.5", nested]
