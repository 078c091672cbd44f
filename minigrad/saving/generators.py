"""Random generators as records: their states, which are put back in place, so that a shared generator stays shared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Check = Callable[[Any], bool]


def _whole(below: int) -> Check:
    return lambda value: type(value) is int and 0 <= value < below


def _wholes(count: int, below: int) -> Check:
    one = _whole(below)
    return lambda value: type(value) is list and len(value) == count and all(one(item) for item in value)


_HALF: dict[str, Check] = {"has_uint32": _whole(2), "uinteger": _whole(2**32)}
_PCG: dict[str, Any] = {
    "state": {"state": _whole(2**128), "inc": lambda value: _whole(2**128)(value) and value % 2 == 1},
    **_HALF,
}

# What the state of each kind is made of.  NumPy itself would take what lies outside, and read beyond its arrays.
SCHEMES: dict[str, dict[str, Any]] = {
    "PCG64": _PCG,
    "PCG64DXSM": _PCG,
    "MT19937": {"state": {"key": _wholes(624, 2**32), "pos": _whole(625)}},
    "Philox": {
        "state": {"counter": _wholes(4, 2**64), "key": _wholes(2, 2**64)},
        "buffer": _wholes(4, 2**64),
        "buffer_pos": _whole(5),
        **_HALF,
    },
    "SFC64": {"state": {"state": _wholes(4, 2**64)}, **_HALF},
}


def generator_state(place: str, generator: np.random.Generator) -> dict[str, Any]:
    """The state of a generator as a record (TypeError names the place of one of another kind)."""
    return bit_generator_state(place, generator.bit_generator)


def bit_generator_state(place: str, bits: Any) -> dict[str, Any]:
    """The state of a bit generator as a record (TypeError names the place of one of another kind)."""
    name = type(bits).__name__
    if name not in SCHEMES or type(bits) is not getattr(np.random, name):
        raise TypeError(
            f"{place} is a random generator of {name}, which cannot be saved: take one of {', '.join(SCHEMES)}, "
            "as np.random.default_rng(seed) gives"
        )
    state: dict[str, Any] = _plain(bits.state)
    return state


def generator_fault(state: Any, bits: Any = None) -> str:
    """What is wrong with a record as the state of a generator, of the kind of `bits` where given; "" if nothing."""
    name = state.get("bit_generator") if isinstance(state, dict) else None
    if not isinstance(name, str) or name not in SCHEMES:
        return f"no state of a generator of {', '.join(SCHEMES)}"
    if bits is not None and type(bits).__name__ != name:
        return f"the state of a generator of {name} for one of {type(bits).__name__}"
    rest = {key: value for key, value in state.items() if key != "bit_generator"}
    return "" if _fits(rest, SCHEMES[name]) else f"no possible state of a generator of {name}"


def set_state(bits: Any, state: dict[str, Any]) -> None:
    """Put a state in which there is no fault into a bit generator, in place."""
    bits.state = _with_arrays(state)


def new_bit_generator(state: dict[str, Any]) -> Any:
    """A bit generator in a state in which there is no fault."""
    bits = getattr(np.random, state["bit_generator"])(0)  # one of SCHEMES
    set_state(bits, state)
    return bits


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _with_arrays(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_arrays(item) for key, item in value.items()}
    return np.array(value, np.uint32 if len(value) == 624 else np.uint64) if isinstance(value, list) else value


def _fits(value: Any, scheme: Any) -> bool:
    if not isinstance(scheme, dict):
        return bool(scheme(value))
    return (
        isinstance(value, dict)
        and value.keys() == scheme.keys()
        and all(_fits(value[key], part) for key, part in scheme.items())
    )
