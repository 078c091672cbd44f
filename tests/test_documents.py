"""What is written is run: code blocks of the documents, doctests, and the paths that the README names."""

import contextlib
import doctest
import functools
import importlib
import io
import pkgutil
import re
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

import minigrad

ROOT = Path(__file__).parent.parent
DOCUMENTS = [path for path in sorted(ROOT.rglob("*.md")) if not {".venv", ".pytest_cache"} & set(path.parts)]
DOCS = ROOT / "docs"
# Their text blocks are, one after the other, all that their code prints.
PAGES = ("index", "tutorial", "derivation", "own-layer", "newcomer", "seeing", "performance", "contributing")
SHOWING = [ROOT / "README.md", *(DOCS / f"{name}.md" for name in PAGES)]
WITH_MATPLOTLIB = {DOCS / "tutorial.md", DOCS / "seeing.md"}
ROUNDING = -9  # the power of ten, below which numbers are taken for what rounding leaves
README = (ROOT / "README.md").read_text()
MODULES = [
    module.name
    for module in pkgutil.walk_packages(minigrad.__path__, "minigrad.")
    if not module.name.endswith("__main__")
]


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


@functools.cache
def printed(path: Path) -> str:
    """What the Python blocks of one document print, run in order, in one namespace."""
    if path in WITH_MATPLOTLIB:
        pytest.importorskip("matplotlib").use("agg")
    said, namespace = io.StringIO(), {"__name__": path.stem}
    with contextlib.redirect_stdout(said), contextlib.chdir(ROOT), sharp(f"<{path.name}>"):
        for block in blocks(path, "python"):
            exec(compile(block, f"<{path.name}>", "exec"), namespace)
    if path in WITH_MATPLOTLIB:
        importlib.import_module("matplotlib.pyplot").close("all")
    return said.getvalue()


@contextlib.contextmanager
def sharp(page: str):
    """Where a page compares numbers, those of the other sign would be found to differ: atol is not too large."""

    close_all = np.allclose

    def sharper(close):
        def compared(a, b, rtol=1e-5, atol=1e-8, **options):
            asked = sys._getframe(1)
            if asked.f_code.co_filename == page and np.any(b):
                vacuous = close_all(a, np.negative(b), rtol=rtol, atol=atol, **options)
                assert not vacuous, f"{page}, line {asked.f_lineno} of its block: -b would pass for b too"
            return close(a, b, rtol, atol, **options)

        return compared

    with mock.patch("numpy.isclose", sharper(np.isclose)), mock.patch("numpy.allclose", sharper(np.allclose)):
        yield


def test_comparisons_that_cannot_fail_are_found():
    with sharp("<page>"):
        exec(
            compile(
                "import numpy as np\nassert np.isclose(1e-18, 1e-18, atol=0) and np.allclose(0, 0)", "<page>", "exec"
            ),
            {},
        )
        with pytest.raises(AssertionError, match=r"<page>, line 2 of its block: -b would pass for b too"):
            exec(compile("import numpy as np\nnp.isclose(1e-18, 1e-18)", "<page>", "exec"), {})
        assert np.isclose(1e-18, 1e-18)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_blocks_run(path):
    printed(path)


@pytest.mark.parametrize("path", SHOWING, ids=lambda path: path.name)
def test_text_blocks_are_what_the_code_prints(path):
    said, shown = printed(path), "".join(blocks(path, "text"))
    assert steady(said) == steady(shown)
    if path.name == "performance.md":  # which has no figure that differs
        assert said == shown


def steady(said: str) -> str:
    """Without what differs from machine to machine: rounding, time, and the widths of columns of times."""
    digits = r"(-?)\d(?:\.\d+)?e([-+]\d+)|[\d.]+ (?:ns|us|ms|s)(?=$|;| )|agrees to \d+"

    def size(match: re.Match) -> str:
        """Of a number in e-notation the sign and the power, unless it is as small as what rounding leaves."""
        return f"{match[1]}#e{int(match[2])}" if match[2] and int(match[2]) >= ROUNDING else "#"

    return re.sub(r"  +", "  ", re.sub(digits, size, said, flags=re.MULTILINE))


def test_what_differs_from_machine_to_machine_is_not_compared():
    assert steady("took 0.042 s; 1.5e-16, agrees to 16 digits\n  9.2 us   17 us") == ("took #; #, # digits\n  #  #")
    assert steady("1.04e+06 -2.5e-3, 3e-11") == "#e6 -#e-3, #"
    assert steady("0.5 2 s\n0.25 rows, 12 samples") == "0.5 #\n0.25 rows, 12 samples"


def test_the_readme_has_exactly_two_commands():
    commands = [line for block in blocks(ROOT / "README.md", "sh") for line in block.splitlines()]
    assert len(commands) == 2
    assert commands[0].endswith("python examples/logreg_softmax.py")
    assert commands[1].endswith("pytest")


def test_doctests():
    results = [doctest.testmod(importlib.import_module(name)) for name in MODULES]
    assert sum(result.attempted for result in results) >= 10
    assert sum(result.failed for result in results) == 0


def test_paths_in_the_readme_exist():
    for path in re.findall(r"`((?:minigrad|tests|examples|benchmarks)/[\w./]*)`", README):
        base = ROOT if not path.startswith("minigrad/") else Path(minigrad.__file__).parent.parent
        assert (base / path).exists(), path


def test_every_room_is_on_the_map():
    package = Path(minigrad.__file__).parent
    for path in package.iterdir():
        if not path.name.startswith("_") and path.name != "py.typed":
            assert f"`minigrad/{path.name}{'/' * path.is_dir()}`" in README, path.name


def test_every_layer_is_in_the_tables():
    abstract = {"Layer", "Container", "Elementwise", "ElementwiseLoss", "LazyLayer", "Loss"}
    tables = (ROOT / "docs" / "layers.md").read_text()
    for name in minigrad.__all__:
        thing = getattr(minigrad, name)
        if isinstance(thing, type) and issubclass(thing, minigrad.Layer) and name not in abstract:
            assert re.search(rf"^\| `{name}\(", tables, re.MULTILINE), name


def test_the_custom_layer_example_is_short():
    assert len((ROOT / "examples" / "custom_layer.py").read_text().splitlines()) < 40
