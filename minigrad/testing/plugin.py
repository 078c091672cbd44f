"""pytest --minigrad-check=package: one test for each layer class of a package, without a test file.

Without that option it does nothing, and imports nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

try:
    import pytest
except ImportError as error:
    raise ImportError("minigrad.testing.plugin needs pytest: pip install 'minigrad[test]'") from error


class Profile(NamedTuple):
    """How much is tried for each class."""

    runs: int  # of the fixed cases, each with another seed
    examples: int  # that Hypothesis draws


PROFILES = {"quick": Profile(1, 0), "default": Profile(1, 25), "thorough": Profile(4, 250)}


def pytest_addoption(parser: pytest.Parser) -> None:
    """The two options."""
    group = parser.getgroup("minigrad", "minigrad: checking the rules of layers")
    group.addoption(
        "--minigrad-check",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="check every layer class that is defined in a module or package; may be given several times",
    )
    group.addoption(
        "--minigrad-profile",
        choices=list(PROFILES),
        default="default",
        help="how much is tried for each class (default: %(default)s; all but quick use Hypothesis, where it is there)",
    )


class LayerItem(pytest.Item):
    """The test of one layer class, or of a module that cannot be imported."""

    def __init__(self, *, subject: Any, **options: Any) -> None:
        super().__init__(**options)
        self.subject = subject

    def runtest(self) -> None:
        from minigrad.testing.discovery import NotCheckedError
        from minigrad.testing.report import GradientContractError

        if isinstance(self.subject, Exception):
            said = f"not checked: the module cannot be imported, {type(self.subject).__name__}: {self.subject}"
            raise NotCheckedError(said) from self.subject
        try:
            for diagnosis in _diagnoses(self.subject, PROFILES[self.config.getoption("minigrad_profile")]):
                self._record(diagnosis)
        except GradientContractError as broken:
            self._record(broken.diagnosis)
            raise

    def _record(self, diagnosis: Any) -> None:
        """What the summary counts, in a form that travels between processes."""
        numbers = {
            "cases": diagnosis.cases,
            "resolution": float(diagnosis.resolution),
            "checked": sum(a.checked for a in diagnosis.derivatives),
            "undecided": sum(a.undecided for a in diagnosis.derivatives),
        }
        self.user_properties.append(("minigrad", numbers))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The findings alone: the frames are those of the checker."""
        from minigrad.testing.discovery import NotCheckedError
        from minigrad.testing.report import GradientContractError

        if isinstance(excinfo.value, GradientContractError | NotCheckedError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """The class, where it is written."""
        import inspect

        try:
            line = inspect.getsourcelines(self.subject)[1] - 1
            return inspect.getsourcefile(self.subject) or self.path, line, self.name
        except (OSError, TypeError):
            return self.path, None, self.name


class LayerCollector(pytest.Collector):
    """The layer classes of one package."""

    def collect(self) -> Iterator[LayerItem]:
        from minigrad.testing.discovery import layers_of

        directory = str(self.config.invocation_params.dir)
        if directory not in sys.path:
            sys.path.insert(0, directory)  # as `python -m pytest` does
        try:
            found = layers_of(self.name)
        except Exception as error:
            said = f"--minigrad-check={self.name} cannot be imported, {type(error).__name__}: {error}"
            raise self.CollectError(said) from error
        if not found.classes and not found.broken:
            raise self.CollectError(f"--minigrad-check={self.name}: no layer class is defined there")
        for name, subject in {**found.classes, **found.broken}.items():
            yield LayerItem.from_parent(self, name=name.removeprefix(f"{self.name}."), subject=subject)


def _diagnoses(cls: Any, profile: Profile) -> Iterator[Any]:
    """What the profile finds: the fixed cases, at several seeds, then Hypothesis."""
    from minigrad.testing.check import check_layer
    from minigrad.testing.discovery import found_input, make

    layer, recipe = make(cls)
    explored = bool(profile.examples) and _hypothesis()
    if explored:
        from minigrad.testing.exploration import examine

        yield examine(layer, recipe, examples=profile.examples)
    for rng in range(explored, profile.runs):
        z, arguments = found_input(layer, rng)
        yield check_layer(layer, z, *arguments, rng=rng)


def _hypothesis() -> bool:
    import importlib.util

    return importlib.util.find_spec("hypothesis") is not None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the items before -k and --last-failed choose among all."""
    for package in dict.fromkeys(config.getoption("minigrad_check")):
        collector = LayerCollector.from_parent(session, name=package, nodeid=package)
        items.extend(session.genitems(collector))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """One line: how much was checked, and how sharply."""
    if not config.getoption("minigrad_check"):
        return
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, ())]
    named = [[value for name, value in r.user_properties if name == "minigrad"] for r in reports if hasattr(r, "when")]
    named = [values for values in named if values]
    numbers = [value for values in named for value in values]
    total = {key: sum(n[key] for n in numbers) for key in ("cases", "checked", "undecided")}
    worst = max((n["resolution"] for n in numbers), default=0.0)
    share = 100 * total["undecided"] / max(total["checked"], 1)
    said = f"minigrad: {len(named)} layer{'s' * (len(named) != 1)}, {total['cases']} cases, "
    said += f"worst resolution {worst:.0e}, {share:.1f} % undecided"
    if PROFILES[config.getoption("minigrad_profile")].examples and not _hypothesis():
        said += "; Hypothesis is not installed, so only the fixed cases were tried"
    terminalreporter.write_line(said)
