"""What is written is run: code blocks of the documents, doctests, and the paths that the README names."""

import contextlib
import doctest
import importlib
import io
import pkgutil
import re
from pathlib import Path

import pytest

import minigrad

ROOT = Path(__file__).parent.parent
DOCUMENTS = [path for path in sorted(ROOT.rglob("*.md")) if not {".venv", ".pytest_cache"} & set(path.parts)]
README = (ROOT / "README.md").read_text()
MODULES = [
    module.name
    for module in pkgutil.walk_packages(minigrad.__path__, "minigrad.")
    if not module.name.endswith("__main__")
]


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_blocks_run(path):
    """The Python blocks of one document run in order, in one namespace."""
    namespace: dict = {}
    for block in blocks(path, "python"):
        exec(compile(block, str(path), "exec"), namespace)


def test_the_readme_shows_what_its_code_prints():
    said, namespace = io.StringIO(), {}
    with contextlib.redirect_stdout(said):
        for block in blocks(ROOT / "README.md", "python"):
            exec(block, namespace)
    # Rounding and time differ from machine to machine, the rest does not.
    digits = re.compile(r"\d(\.\d+)?e[-+]\d+|[\d.]+ s$|[\d.]+ s(?=;)|agrees to \d+", re.MULTILINE)
    assert digits.sub("#", said.getvalue()) == digits.sub("#", "".join(blocks(ROOT / "README.md", "text")))


def test_performance_shows_what_its_code_prints():
    said, namespace = io.StringIO(), {}
    with contextlib.redirect_stdout(said):
        for block in blocks(ROOT / "docs" / "performance.md", "python"):
            exec(block, namespace)
    assert said.getvalue() == "".join(blocks(ROOT / "docs" / "performance.md", "text"))


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
