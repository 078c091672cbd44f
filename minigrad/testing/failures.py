"""What a rule raised, as a finding that says where in the author's file."""

from __future__ import annotations

import dis
import inspect
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.checks import label
from minigrad.testing.report import Finding
from minigrad.testing.subject import RuleError, Subject

METHODS = {1: "forward", 2: "backward", 3: "parameter_gradients"}
HERE = Path(__file__).parent


def finding_of(subject: Subject, failure: RuleError, case: str = "") -> Finding:
    """The finding for a rule that raised, took too long, or returned what it may not."""
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
    return Finding(rule, code, said, case=case, source=source or source_of(subject.layer, rule))


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
    """file:line where the author's code raised, outside the checker and NumPy."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if HERE not in path.parents and "numpy" not in path.parts and path.name != "checks.py":
            return f"{frame.filename}:{frame.lineno} in {frame.name}"
    return ""


def source_of(layer: Any, rule: int) -> str:
    """file:line where the class writes a rule."""
    method = getattr(type(layer), METHODS.get(rule, ""), None)
    if method is None:
        return ""
    try:
        file = inspect.getsourcefile(method)
        line = inspect.getsourcelines(method)[1]
    except (OSError, TypeError):
        return ""
    return f"{file}:{line} in {METHODS[rule]}" if file and Path(file).exists() else ""
