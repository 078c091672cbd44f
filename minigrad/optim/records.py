"""Records: what is written down of an optimizer or an average, and whether another was made alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from minigrad.checks import require_finite
from minigrad.typing import Array

State: TypeAlias = tuple[Mapping[str, Array], Mapping[str, Any]]


def require_made_alike(who: object, what: str, given: State, own: State) -> None:
    """`given`, vectors and a record, has the description and the finite vectors that `own` has (ValueError)."""
    (vectors, record), (own_vectors, description) = given, own
    unlike = differences({name: as_written(record.get(name)) for name in description}, description)
    unlike += differences(_kinds(vectors), _kinds(own_vectors))
    if unlike:
        raise ValueError(
            f"{type(who).__name__} cannot go on from {what} that was made otherwise: it had {'; '.join(unlike)}; "
            "nothing was changed"
        )
    for name, vector in vectors.items():
        require_finite(type(who), vector, name)


def _kinds(vectors: Mapping[str, Array]) -> dict[str, list[Any]]:
    return {name: [str(vector.dtype), *vector.shape] for name, vector in vectors.items()}


def as_written(value: Any) -> Any:
    """`value` with lists for tuples, as a JSON file gives it back."""
    if isinstance(value, Mapping):
        return {str(name): as_written(own) for name, own in value.items()}
    return [as_written(own) for own in value] if isinstance(value, tuple | list) else value


def differences(saved: Any, own: Any, where: str = "") -> list[str]:
    """Where two descriptions differ, in words: "settings.eps 1e-08, here 1e-06"."""
    if not (isinstance(saved, Mapping) and isinstance(own, Mapping)):
        return [] if saved == own else [f"{where} {saved!r}, here {own!r}"]
    lines = []
    for name in dict.fromkeys([*own, *saved]):
        at = f"{where}.{name}" if where else name
        if name not in saved or name not in own:
            lines.append(f"{at} {_shown(saved, name)}, here {_shown(own, name)}")
        else:
            lines += differences(saved[name], own[name], at)
    return lines


def _shown(entries: Mapping[str, Any], name: str) -> str:
    return repr(entries[name]) if name in entries else "absent"
