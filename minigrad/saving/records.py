"""Records: the small things beside the arrays of a file, as JSON text that loses nothing.

JSON knows strings, numbers, lists and objects.  What it does not know stands in an object of one key:

    {"$tuple": [...]}    {"$int": "0x1f..."}, beyond 2^53    {"$float": "nan"}, "inf" or "-inf"

and a key of the caller's own that begins with $ is written with another $ before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minigrad.checks import kind
from minigrad.saving.errors import shown

DEEPEST = 64  # lists in lists; to be read within any stack of calls
EXACT = 2**53  # the integers that every reader of JSON takes as they are
PIECES = 500_000  # each becomes an object of Python: they bound what a small text can take of memory
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def record_text(who: str, record: Mapping[str, Any]) -> str:
    """A record as JSON (TypeError names the place of what it cannot hold, ValueError where it is too large).

    None, bool, int, float, str, list, tuple, and dict of string keys; numbers of NumPy become those of Python.
    """
    import json  # on use: importing minigrad loads little beyond NumPy

    if not isinstance(record, Mapping):
        raise TypeError(f"{who} expects the record to be a dictionary, got {kind(record)}")
    text = json.dumps(_encoded(who, dict(record), "record", 0), separators=(",", ":"), allow_nan=False)
    if pieces(text.encode()) > PIECES:
        raise ValueError(
            f"{who} expects a record of at most {PIECES} numbers, strings, lists and the like, "
            f"got {pieces(text.encode())}: put many numbers into an array"
        )
    return text


def record_of(text: str | bytes) -> Any:
    """What stands in JSON text that `record_text` or another program wrote (ValueError says what is wrong with it).

    The tags are left as they are: `untagged` reads them.
    """
    import json

    try:
        size = pieces(text if isinstance(text, bytes) else text.encode())
        if size > PIECES:
            raise ValueError(f"{size} numbers, strings, lists and the like, which is more than {PIECES}")
        return json.loads(text, object_pairs_hook=_without_doubles, parse_constant=_refused, parse_float=_finite)
    except RecursionError:
        raise ValueError("lists or objects in each other too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"text that is not UTF-8 ({error.reason} at byte {error.start})") from None


def untagged(value: Any, place: str = "record", depth: int = 0) -> Any:
    """The value of JSON written by `record_text` (ValueError names the place of what that does not write)."""
    if depth > DEEPEST:
        raise ValueError(f"lists or objects deeper than {DEEPEST} at {place[:80]}")
    if isinstance(value, list):
        return [untagged(item, f"{place}[{i}]", depth + 1) for i, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    for tag, read in _TAGS.items():
        if tag in value:
            if len(value) > 1:
                raise ValueError(f"{tag} beside other keys at {place}")
            return read(value[tag], place, depth)
    result = {}
    for key, item in value.items():
        if key.startswith("$") and not key.startswith("$$"):
            raise ValueError(f"an unknown tag {key[:40]!r} at {place}")
        # Shortened, since a key as long as the file would be copied for every value below it.
        result[key.removeprefix("$")] = untagged(item, f"{place}[{shown(key)}]", depth + 1)
    return result


def pieces(text: bytes) -> int:
    """How many values there can be in JSON text, at most: each ends with one of these, or is the last in a bracket."""
    return sum(text.count(mark) for mark in (b",", b":", b"[", b"{"))


def _encoded(who: str, value: Any, place: str, depth: int) -> Any:
    if depth > DEEPEST:
        raise ValueError(f"{who} expects a record of at most {DEEPEST} lists in each other, got more at {place[:80]}")
    if isinstance(value, np.generic) and value.dtype.kind in "biuf" and value.dtype.itemsize <= 8:
        value = value.item()
    if value is None or type(value) in (bool, str):
        return value
    if type(value) is int:
        return value if abs(value) <= EXACT else {"$int": hex(value)}
    if type(value) is float:
        return value if math.isfinite(value) else {"$float": str(value)}
    if type(value) in (list, tuple):
        items = [_encoded(who, item, f"{place}[{i}]", depth + 1) for i, item in enumerate(value)]
        return items if type(value) is list else {"$tuple": items}
    if type(value) is dict:
        for key in value:
            if type(key) is not str:
                raise TypeError(f"{who} expects keys of a record to be strings, got {key!r} at {place}")
        return {
            "$" * key.startswith("$") + key: _encoded(who, item, f"{place}[{shown(key)}]", depth + 1)
            for key, item in value.items()
        }
    fix = "put it among the arrays" if isinstance(value, np.ndarray) else "put into words or numbers what it says"
    raise TypeError(
        f"{who} expects a record of None, bool, int, float, str, list, tuple and dict, "
        f"got {kind(value)} at {place}: {fix}"
    )


def _tuple(items: Any, place: str, depth: int) -> tuple[Any, ...]:
    if not isinstance(items, list):
        raise ValueError(f"a tuple that is no list at {place}")
    return tuple(untagged(item, f"{place}[{i}]", depth + 1) for i, item in enumerate(items))


def _int(digits: Any, place: str, _: int) -> int:
    if not isinstance(digits, str) or not digits.removeprefix("-").startswith("0x"):
        raise ValueError(f"an integer that is not 0x and digits at {place}")
    return int(digits, 16)


def _float(name: Any, place: str, _: int) -> float:
    if not isinstance(name, str) or name not in _NOT_FINITE:
        raise ValueError(f"a number that is none of {', '.join(_NOT_FINITE)} at {place}")
    return _NOT_FINITE[name]


_TAGS: dict[str, Callable[[Any, str, int], Any]] = {"$tuple": _tuple, "$int": _int, "$float": _float}


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"{twice[:80]!r} twice in one object")
    return found


def _refused(name: str) -> Any:
    raise ValueError(f"{name}, which is no number in JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:40]}, which is beyond the floating numbers")
    return number
