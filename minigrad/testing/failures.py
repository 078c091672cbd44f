"""What a rule raised, as a finding that says where in the author's file."""

from __future__ import annotations

import copy
import dis
import inspect
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.checks import label
from minigrad.layer import Layer
from minigrad.testing.report import Finding
from minigrad.testing.subject import RuleError, Subject

METHODS = {1: "forward", 2: "backward", 3: "parameter_gradients"}
HERE = Path(__file__).parent
ROOMS = HERE.parent
# Where minigrad says what is wrong with a layer, and not where it is wrong.
BASES = {ROOMS / "checks.py", ROOMS / "layer.py", ROOMS / "shapes.py"}


def finding_of(subject: Subject, failure: RuleError, case: str = "", layer: Layer | None = None) -> Finding:
    """The finding for a rule that raised, took too long, or returned what it may not; of `layer`, if it is another."""
    layer = subject.layer if layer is None else layer
    rule, error = failure.rule, failure.error
    source = raised_at(error)
    code = failure.code
    if code == "hangs":
        said = f"did not return within {subject.watch.limit:g} s"
    elif code == "mutation":
        said = (
            f"rule {rule} writes into z, delta, the cache, an argument or a parameter ({error}): rules are pure, work "
            "on a copy"
        )
    elif code == "wrong_type":
        said = str(error)
    elif isinstance(error, NotImplementedError) and "lacks rule" in str(error):
        code, said = "missing_rule", f"{error}. derive(layer) gives it numerically until it is written"
    elif rule == 0 and "cannot pickle" in str(error):
        said = f"the layer cannot be copied ({error}): keep locks, files and the like elsewhere, or write __deepcopy__"
    else:
        said = f"raises {type(error).__name__}: {_text(error)}"
    return Finding(rule, code, said, case=case, source=source or source_of(layer, rule))


def named(layer: Any) -> str:
    """The label of a layer, or its class where its repr raises."""
    try:
        return label(layer)
    except Exception:
        return f"{type(layer).__name__}(...)"


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = "an error that cannot be shown"
    return text if len(text) < 400 else f"{text[:400]} ..."


def deliberate(error: BaseException) -> bool:
    """A `raise` or `assert` outside NumPy raised it: this is how a layer says what it does not take."""
    if not isinstance(error, ValueError | TypeError | ArithmeticError | AssertionError | NotImplementedError):
        return False
    if isinstance(error, np.linalg.LinAlgError):
        return True
    innermost = error.__traceback__
    while innermost is not None and innermost.tb_next is not None:
        innermost = innermost.tb_next
    if innermost is None:
        return False
    code, position = innermost.tb_frame.f_code, innermost.tb_lasti
    instruction = next((i.opname for i in dis.get_instructions(code) if i.offset == position), "")
    return instruction.startswith(("RAISE", "RERAISE")) and "numpy" not in Path(code.co_filename).parts


def raised_at(error: BaseException) -> str:
    """file:line where the author's code raised; of a layer of minigrad, where that did."""
    within = ""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if HERE in path.parents or "numpy" in path.parts or path in BASES or frame.filename == copy.__file__:
            continue
        where = f"{frame.filename}:{frame.lineno} in {frame.name}"
        if ROOMS not in path.parents:
            return where
        within = within or where
    return within


def source_of(layer: Any, rule: int) -> str:
    """file:line where the class writes a rule, or of one that it lacks, where the class is written."""
    name = METHODS.get(rule, "")
    method = getattr(type(layer), name, None)
    if method is None or method is getattr(Layer, name):
        return _source_of_class(type(layer))
    return _at(_code(method), name)


def _source_of_class(cls: type) -> str:
    """The line of `class`, or where that cannot be read, of the first method."""
    try:
        file, line = inspect.getsourcefile(cls), inspect.getsourcelines(cls)[1]
    except Exception:  # of code that was run by hand, or whose file has changed meanwhile, there are many
        codes = [code for value in vars(cls).values() if (code := _code(value)) is not None]
        return _at(min(codes, key=lambda code: code.co_firstlineno, default=None), f"class {cls.__name__}")
    return f"{file}:{line} in class {cls.__name__}" if file else ""


def _code(method: Any) -> Any:
    try:
        return getattr(inspect.unwrap(method), "__code__", None)
    except ValueError:  # it wraps itself
        return None


def _at(code: Any, name: str) -> str:
    """The line is that of the code which runs: the file may have changed meanwhile, or never have held it."""
    return f"{code.co_filename}:{code.co_firstlineno} in {name}" if code and Path(code.co_filename).exists() else ""
