"""Colours: of every role, for light and for dark pages.

Text has a contrast of 4.5 or more on all that it stands on (WCAG 2.1, AA); up is blue and down is orange, which the
colour-blind tell apart, and arrows, words and line styles say the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Colours(NamedTuple):
    """By role."""

    page: str  # behind everything
    box: str  # behind a layer
    frame: str  # behind a container
    edge: str  # lines around
    grid: str  # lines behind
    ink: str
    muted: str  # text that explains
    up: str  # z
    down: str  # delta
    series: tuple[str, ...]  # of lines and classes, in order


LIGHT = Colours(
    page="#ffffff",
    box="#eef2f8",
    frame="#f8f9fb",
    edge="#7b8698",
    grid="#dfe3e9",
    ink="#1a1f29",
    muted="#515a69",
    up="#0a5ca8",
    down="#a03c00",
    series=(
        "#0a5ca8",
        "#a03c00",
        "#0b6b4a",
        "#86307d",
        "#5a5200",
        "#4d4d4d",
        "#006b7d",
        "#a3153f",
        "#4b3fae",
        "#6b4a2b",
    ),
)
DARK = Colours(
    page="#12161d",
    box="#232b38",
    frame="#1a202a",
    edge="#77849a",
    grid="#323b49",
    ink="#e9edf3",
    muted="#adb6c4",
    up="#82bdf5",
    down="#f5a862",
    series=(
        "#82bdf5",
        "#f5a862",
        "#63d0a4",
        "#e3a0da",
        "#d9cf6b",
        "#c4c4c4",
        "#5fd0e3",
        "#ff9db0",
        "#b5adff",
        "#d8b48f",
    ),
)
THEMES = {"light": LIGHT, "dark": DARK}


def require_theme(who: str, theme: Any, others: tuple[Any, ...] = ()) -> None:
    """`theme` is one there is (ValueError)."""
    known = (*THEMES, *others)
    if theme not in known:
        raise ValueError(f"{who} expects theme in {known}, got {theme!r}")
