"""Styles: how the parts of a layer cake look, by their classes."""

from __future__ import annotations

from minigrad.pictures.colours import DARK, LIGHT, THEMES, Colours


def style(own: str, theme: str) -> str:
    """Rules for this picture alone: another in the same notebook has another id."""
    if theme != "auto":
        return _rules(own, THEMES[theme])
    return f"{_rules(own, LIGHT)}@media (prefers-color-scheme:dark){{{_rules(own, DARK)}}}"


def _rules(own: str, c: Colours) -> str:
    rules = {
        ".page": f"fill:{c.page};stroke:{c.grid}",
        ".box": f"fill:{c.box};stroke:{c.edge}",
        ".frame": f"fill:{c.frame};stroke:{c.edge};stroke-dasharray:2 3",
        ".pill": f"fill:{c.page};stroke:{c.ink};stroke-width:1.6",
        ".ink": f"fill:{c.ink}",
        ".muted": f"fill:{c.muted}",
        ".up,.up-fill": f"fill:{c.up}",
        ".down,.down-fill": f"fill:{c.down}",
        ".lane": "stroke-width:2;fill:none",
        ".up-line": f"stroke:{c.up}",
        ".down-line": f"stroke:{c.down};stroke-dasharray:5 4",
        ".up-ring": f"fill:{c.page};stroke:{c.up};stroke-width:2",
        ".down-ring": f"fill:{c.page};stroke:{c.down};stroke-width:2",
        ".line,.tick": f"stroke:{c.edge}",
        ".scale": f"fill:{c.box};stroke:{c.edge}",
    }
    return "".join(
        ",".join(f"#{own} {each}" for each in selector.split(",")) + f"{{{rule}}}" for selector, rule in rules.items()
    )
