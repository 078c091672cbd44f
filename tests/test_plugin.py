"""The plugin of pytest and the command line, on a package with a right layer and a wrong one."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import minigrad

pytest_plugins = ["pytester"]

ROOT = Path(minigrad.__file__).parents[1]
RIGHT = """
from minigrad.layers import Elementwise

class Right(Elementwise):
    keeps = "input"

    def f(self, z):
        return z * z

    def df(self, z):
        return 2 * z
"""
WRONG = """
from mine.right import Right

class Wrong(Right):
    def df(self, z):
        return 4 * z
"""
RARE = """
from mine.right import Right

class Rare(Right):
    def df(self, z):
        return 2 * z + (z == 3.0)
"""
NEEDY = """
from mine.right import Right

class Needy(Right):
    def __init__(self, table):
        self.table = table["numbers"]
"""


@pytest.fixture
def package(pytester, monkeypatch):
    """A function that writes a package `mine` of modules, and runs pytest with the plugin beside it."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def run(*options, **modules):
        pytester.path.joinpath("mine").mkdir(exist_ok=True)
        pytester.path.joinpath("mine", "__init__.py").touch()
        for name, text in modules.items():
            pytester.path.joinpath("mine", f"{name}.py").write_text(text)
        fixed = ["-p", "minigrad.testing.plugin", "-p", "no:cacheprovider", "-W", "error"]
        return pytester.runpytest_subprocess(*fixed, *options)

    return run


def command(*arguments, where):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    call = [sys.executable, "-W", "error", "-m", "minigrad.testing", *arguments]
    return subprocess.run(call, capture_output=True, text=True, cwd=where, env=environment, timeout=100)


def test_it_finds_the_wrong_layer_without_a_test_file(package):
    result = package("--minigrad-check=mine", "--minigrad-profile=quick", "-v", right=RIGHT, wrong=WRONG)
    result.assert_outcomes(passed=1, failed=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*collected 2 items",
            "mine::right*Right PASSED*",
            "mine::wrong*Wrong FAILED*",
            "*broken rules in Wrong(): rule 2*",
            "minigrad: 2 layers, * cases, worst resolution *e-*, 0.0 % undecided",
            "FAILED mine::wrong.Wrong*",
        ]
    )
    assert "Traceback" not in result.stdout.str()


def test_it_explores_unless_it_is_to_be_quick(package):
    quick = package("--minigrad-check=mine", "--minigrad-profile=quick", right=RIGHT, rare=RARE)
    quick.assert_outcomes(passed=2)
    result = package("--minigrad-check=mine.rare", "--minigrad-profile=thorough", right=RIGHT, rare=RARE)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["found by Hypothesis*", "def test_regression_rare():", "    layer = Rare()", "    check_layer(layer, *3.0*"]
    )


def test_it_stands_beside_tests_and_can_be_chosen(package, pytester):
    pytester.makepyfile("def test_other():\n    pass")
    package("--minigrad-check=mine", "-k", "Right", right=RIGHT, wrong=WRONG).assert_outcomes(passed=1, deselected=2)
    package("--minigrad-check=mine", "-x", "--minigrad-profile=quick").assert_outcomes(passed=2, failed=1)


def test_one_line_in_a_test_file_checks_a_package(package, pytester):
    pytester.makepyfile(
        "from minigrad.testing.exploration import layers_in\n"
        "from mine.needy import Needy\n"
        "make = {'mine.needy.Needy': lambda: Needy({'numbers': 1})}\n"
        "test_all = layers_in('mine', make=make, skip={'Rare': 'known'}, examples=5)"
    )
    result = package("-rs", right=RIGHT, wrong=WRONG, needy=NEEDY, rare=RARE, broken="1 / 0")
    result.assert_outcomes(passed=2, failed=2, skipped=1)
    result.stdout.fnmatch_lines(["*NotCheckedError: not checked: module mine.broken cannot be imported*"])
    result.stdout.fnmatch_lines(["    layer = Wrong()", "SKIPPED*known"])


def test_it_is_off_until_asked_for(package, pytester):
    pytester.makepyfile(
        "import sys\ndef test_nothing_is_imported():\n"
        "    assert not {'hypothesis', 'minigrad.testing.exploration', 'minigrad.testing.discovery'} & {*sys.modules}"
    )
    result = package(wrong=WRONG)
    result.assert_outcomes(passed=1)
    assert "minigrad:" not in result.stdout.str()


def test_importing_it_needs_little():
    source = (ROOT / "minigrad" / "testing" / "plugin.py").read_text()
    names = {node.names[0].name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import)}
    top = [node for node in ast.parse(source).body if isinstance(node, ast.ImportFrom)]
    assert names <= {"importlib.util", *sys.stdlib_module_names, "pytest"}
    assert {node.module.split(".")[0] for node in top} <= {*sys.stdlib_module_names}


def test_nothing_is_skipped_quietly(package):
    result = package("--minigrad-check=mine", "--minigrad-profile=quick", right=RIGHT, needy=NEEDY, broken="1 / 0")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["not checked: the module cannot be imported, ZeroDivisionError*"])
    result.stdout.fnmatch_lines(["not checked: no arguments were found that make Needy*"])


@pytest.mark.parametrize(
    ("name", "said"),
    [("nowhere", "*cannot be imported, ModuleNotFoundError*"), ("mine", "*no layer class is defined*")],
)
def test_a_package_that_is_none_is_an_error(package, name, said):
    result = package(f"--minigrad-check={name}")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([said])


def test_the_command_prints_a_table(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, text in {"__init__": "", "right": RIGHT, "wrong": WRONG, "needy": NEEDY}.items():
        (folder / f"{name}.py").write_text(text)
    result = command("mine", where=tmp_path)
    assert result.returncode == 1, result.stderr
    header, *rows = result.stdout.splitlines()
    assert header.split() == ["class", "result", "digits", "resolution", "seconds"]
    told = {row.split()[0]: row.split()[1:] for row in rows[:3]}
    assert told["mine.needy.Needy"][:2] == ["NOT", "CHECKED"]
    assert told["mine.right.Right"][0] == "agrees"
    assert int(told["mine.right.Right"][1]) >= 10
    assert float(told["mine.right.Right"][2]) < 1e-6
    assert told["mine.wrong.Wrong"][:2] == ["WRONG", "0"]
    assert "2 times the right one" in result.stdout
    assert "Pass make={'Needy'" in result.stdout
    assert rows[-1] == "3 classes, 1 agree, 2 do not or were not checked"


def test_the_command_takes_a_file(tmp_path):
    (tmp_path / "single.py").write_text(RIGHT)
    result = command("single.py", "--rng", "3", where=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "single.Right" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required"),
        (["nowhere"], "nowhere cannot be imported"),
        (["nowhere.py"], "there is no file nowhere.py"),
        (["inner/types.py"], "rename the file"),
        (["minigrad.typing"], "no layer class is defined in minigrad.typing"),
    ],
)
def test_a_wrong_call_has_status_2(arguments, said, tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "types.py").write_text(RIGHT)
    result = command(*arguments, where=tmp_path)
    assert result.returncode == 2
    assert said in result.stderr
