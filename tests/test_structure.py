"""What the layout promises: imports run one way, NumPy alone, a core that is read at one sitting."""

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad

PACKAGE = Path(minigrad.__file__).parent
# From the foundation up: a module imports only from those before it.
ROOMS = [
    "typing",
    "checks",
    "shapes",
    "layer",
    "containers",
    "kernels",
    "softmax_kernels",
    "initializers",
    "layers",
    "losses",
    "building",
    "fusions",
    "derivatives",
    "existence",
    "parameters",
    "watching",
    "saving",
    "optim",
    "training",
    "mle",
    "testing",
    "explaining",
    "pictures",
]
# The folders and files of minigrad/mle/, likewise; what is imported within functions, or for types alone, is free.
WITHIN_MLE = [
    "entry",
    "likelihood",
    "verdict",
    "tables",
    "familiar",
    "identification",
    "search",
    "regressions",
    "stacks",
    "inference",
    "use",
    "report",
    "result",
    "fit",
    "__init__",
]
SOURCES = sorted(PACKAGE.rglob("*.py"))
# What is there for pytest and Hypothesis, and imported on use.
EXTRAS = {
    "testing/strategies.py": ("hypothesis",),
    "testing/exploration.py": ("hypothesis", "pytest"),
    "testing/plugin.py": ("pytest",),
    "training/progress.py": ("tqdm",),
    "mle/use/calibration.py": ("matplotlib",),
    "pictures/canvas.py": ("matplotlib",),
}


def room(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported_modules(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            modules.add(node.module)
    return modules


def test_every_module_stands_in_a_room():
    assert {room(path) for path in SOURCES} == {*ROOMS, "__init__"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    if path == PACKAGE / "__init__.py":
        return
    for module in imported_modules(path):
        if module.split(".")[0] == "minigrad":
            assert module != "minigrad", "import the module, not the package"
            target = module.split(".")[1]
            assert ROOMS.index(target) <= ROOMS.index(room(path)), f"{path.name} imports {module}, which stands above"


@pytest.mark.parametrize("path", sorted((PACKAGE / "mle").rglob("*.py")), ids=lambda path: path.name)
def test_within_mle_imports_run_one_way_too(path):
    own = path.relative_to(PACKAGE / "mle").parts[0].removesuffix(".py")
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module.startswith("minigrad.mle"):
            target = (node.module.split(".") + [alias.name for alias in node.names])[2]
            assert WITHIN_MLE.index(target) <= WITHIN_MLE.index(own), f"{path.name} imports {target}"


def test_containers_know_no_particular_layer():
    for path in (PACKAGE / "containers").glob("*.py"):
        others = {m for m in imported_modules(path) if m.startswith("minigrad")}
        others = {m for m in others if not m.startswith("minigrad.containers")}
        assert others <= {"minigrad.checks", "minigrad.layer", "minigrad.shapes", "minigrad.typing"}, path


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_core_needs_numpy_alone(path):
    allowed = {*sys.stdlib_module_names, "numpy", "minigrad", *EXTRAS.get(str(path.relative_to(PACKAGE)), ())}
    assert {module.split(".")[0] for module in imported_modules(path)} <= allowed


def test_layer_is_two_screens():
    assert len((PACKAGE / "layer.py").read_text().splitlines()) <= 157


def test_files_are_of_one_idea():
    assert {path.name for path in SOURCES if len(path.read_text().splitlines()) > 300} == set()


def test_public_names_have_docstrings_and_are_sorted_out():
    assert set(minigrad.__all__) <= set(dir(minigrad))
    for name in minigrad.__all__:
        assert getattr(minigrad, name).__doc__, name


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return set(run.stdout.split())


def test_importing_loads_little_beyond_numpy():
    """The clock differs from machine to machine; what is loaded does not."""
    ours = modules_after("import numpy; import minigrad") - modules_after("import numpy")
    others = {module for module in ours if not module.startswith("minigrad")}
    assert others <= {"__future__", "copy", "org", "org.python", "org.python.core"}
    assert "minigrad.testing" not in ours


def test_what_is_loaded_later_is_public_and_found():
    loaded = modules_after("import minigrad")
    assert not {"minigrad.optim", *(f"minigrad.{room}" for room in minigrad.NAMED)} & loaded
    for room in minigrad.NAMED:
        assert getattr(minigrad, room) is importlib.import_module(f"minigrad.{room}")
    for room, names in minigrad.LATER.items():
        module = importlib.import_module(f"minigrad.{room}")
        assert names == module.__all__
        assert getattr(minigrad, room) is module
        for name in names:
            assert getattr(minigrad, name) is getattr(module, name)
    with pytest.raises(AttributeError, match="module 'minigrad' has no attribute 'nothing'"):
        minigrad.nothing  # noqa: B018


def test_families_of_layers_are_modules_before_they_are_used():
    assert "minigrad.layers.pooling" not in modules_after("import minigrad")
    assert "minigrad.layers.pooling" in modules_after("import minigrad; minigrad.layers.pooling.MaxPool2d")


def test_it_is_typed():
    assert (PACKAGE / "py.typed").exists()


def test_numpy_is_the_only_dependency():
    from importlib.metadata import PackageNotFoundError, requires

    try:
        needed = [line for line in requires("minigrad") or [] if "extra ==" not in line]
    except PackageNotFoundError:
        pytest.skip("minigrad is not installed")
    assert needed == ["numpy>=2.0"]
    assert int(np.__version__.split(".")[0]) >= 2
