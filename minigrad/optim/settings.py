"""Settings of an optimizer: of all parameters, and of those that a pattern of names matches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypedDict

from minigrad.checks import kind, label, require_flag, require_number
from minigrad.optim.schedules import Schedule

Settings: TypeAlias = dict[str, Any]

# What `move` finds in `s` besides the settings: no rule can have one of these names.
RESERVED = (
    "base",  # the settings before the schedule changed them
    "learning_rate_as_array",  # as ufuncs want it: of a small vector, to turn a float into it takes half of a pass
)


class Options(TypedDict, total=False):
    """What every rule takes besides its own settings: see `Optimizer`."""

    decoupled: bool
    groups: Mapping[str, Mapping[str, Any]] | None
    clip_value: float | None
    clip_norm: float | None
    schedule: Schedule | None


def require_fractions(who: object, name: str, values: Any) -> tuple[float, float]:
    """`values` as two numbers from 0 to below 1 (TypeError, ValueError)."""
    if not (isinstance(values, tuple | list) and len(values) == 2):
        raise TypeError(f"{label(who)} expects {name} to be two numbers, got {values!r}: (0.9, 0.999)")
    return require_fraction(who, name, values[0]), require_fraction(who, name, values[1])


def require_fraction(who: object, name: str, value: Any) -> float:
    """`value` as a number from 0 to below 1 (TypeError, ValueError)."""
    value = require_number(who, name, value, least=0.0)
    if value >= 1:
        raise ValueError(f"{label(who)} expects {name} from 0 to below 1, got {value!r}")
    return value


def checked_settings(who: object, settings: Settings, check: Callable[[Settings], Settings]) -> Settings:
    """Those that every rule has, and those of a rule of its own by `check`, as they are to be used."""
    own = check(settings)
    for name in RESERVED:
        if name in own:
            raise TypeError(f"{label(who)} cannot have a setting {name}: `move` finds something else there, rename it")
    return {
        "learning_rate": require_number(who, "learning_rate", settings["learning_rate"], least=0.0),
        "weight_decay": require_number(who, "weight_decay", settings["weight_decay"], least=0.0),
        "decoupled": require_flag(who, "decoupled", settings["decoupled"]),
        **own,
    }


def checked_groups(
    who: Any, names: Mapping[str, Any], settings: Settings, groups: Any, checked: Callable[[Settings], Settings]
) -> tuple[dict[str, Settings], dict[str, Settings]]:
    """({pattern: its settings}, {name: what the groups that match it change}), in the order of the groups (ValueError).

    Settings that are right one by one may still be wrong together: they are tested as each parameter has them.
    """
    from fnmatch import fnmatchcase  # on use: importing minigrad loads little beyond NumPy

    if not isinstance(groups, Mapping) or not all(isinstance(own, Mapping) for own in groups.values()):
        raise TypeError(f"{label(who)} expects groups as {{pattern: {{setting: value}}}}, got {kind(groups)}")
    of_patterns: dict[str, Settings] = {}
    of_names: dict[str, Settings] = {name: {} for name in names}
    for pattern, own in groups.items():
        if not isinstance(pattern, str):
            raise TypeError(f"{label(who)} expects patterns of names as groups, such as '*.bias', got {kind(pattern)}")
        unknown = sorted(own.keys() - settings.keys())
        if unknown:
            raise ValueError(
                f"{label(who)} has no setting {', '.join(unknown)} for the group {pattern!r}: "
                f"it has {', '.join(settings)}"
            )
        matched = [name for name in names if fnmatchcase(name, pattern)]
        if not matched:
            raise ValueError(
                f"{label(who)} has a group {pattern!r} that matches no parameter: there are {', '.join(names)}"
            )
        for name in matched:
            together = checked(settings | of_names[name] | own)
            of_names[name] |= {setting: together[setting] for setting in own}
            of_patterns[pattern] = {setting: together[setting] for setting in own}
    return of_patterns, of_names
