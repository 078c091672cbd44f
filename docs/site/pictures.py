r"""The pictures of the pages, made by minigrad from the code that stands above them.

A page shows the picture that its code calls `name` as ![what is seen](pictures/page-name.svg).  The blocks of the page
run in order, once for light and once for dark, and what has that name at the end is drawn.
"""

import io
import re
from contextlib import chdir, redirect_stdout
from pathlib import Path
from typing import Any

PICTURE = re.compile(r"!\[[^\]]*\]\((pictures/([\w-]+)-(\w+)\.svg)\)")
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
THEMES = {"light": "white", "dark": "black"}


def pictures_of(page: Path) -> dict[str, str]:
    """{path: SVG} of all that a page shows; of those that are not light and dark by themselves, both."""
    text = page.read_text()
    wanted = [(match[1], match[2], match[3]) for match in PICTURE.finditer(text)]
    for path, stem, _ in wanted:
        if stem != page.stem:
            raise ValueError(f"{page.name} shows {path}: its pictures are called {page.stem}-name.svg")
    if not wanted:
        return {}
    made = run(page, "light")
    for path, _, name in wanted:
        if name not in made:
            raise ValueError(f"{page.name} shows {path}, and its code makes nothing called {name}")
    drawn = {path: svg(made[name]) for path, _, name in wanted}
    charts = [(path, name) for path, _, name in wanted if not hasattr(made[name], "_repr_svg_")]
    if charts:  # the others are light and dark by themselves
        made = run(page, "dark")
        drawn |= {path.replace(".svg", "-dark.svg"): svg(made[name]) for path, name in charts}
    return drawn


def run(page: Path, theme: str) -> dict[str, Any]:
    """The names that the blocks of a page make; charts take the theme of matplotlib's background."""
    import matplotlib as mpl

    mpl.use("agg")
    namespace: dict[str, Any] = {"__name__": page.stem}
    quiet, at_root = redirect_stdout(io.StringIO()), chdir(Path(__file__).parent.parent.parent)
    with mpl.rc_context({"figure.facecolor": THEMES[theme]}), quiet, at_root:
        for block in BLOCK.findall(page.read_text()):
            exec(compile(block, f"<{page.name}>", "exec"), namespace)
    return namespace


def svg(picture: Any) -> str:
    """A layer cake, a figure of matplotlib, or one of its axes, as SVG."""
    if hasattr(picture, "_repr_svg_"):
        return str(picture._repr_svg_())
    import matplotlib as mpl

    figure = picture if hasattr(picture, "savefig") else picture.figure
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "minigrad"}):
        figure.savefig(file, format="svg", metadata={"Date": None}, facecolor=figure.get_facecolor())
    return file.getvalue()
