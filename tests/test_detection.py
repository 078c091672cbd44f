"""Planted bugs are found and named; right layers are left in peace."""

import json
import os
from typing import NamedTuple

import numpy as np
import pytest
from bugs import BUGS, FAMILIES, Bug
from right import RIGHT

from minigrad.testing import CAUSES, diagnose

SEED = 1


class Outcome(NamedTuple):
    """What was said of one bug."""

    ok: bool
    rule: int | None = None  # of the first finding
    cause: str | None = None


def title(bug: Bug) -> str:
    return bug.name or type(bug.make()).__name__


TITLES = [title(bug) for bug in BUGS]
OUTCOMES: dict[str, Outcome] = {}  # computed once


@pytest.fixture(scope="module")
def outcome_of(tmp_path_factory):
    """Diagnoses a bug once; where several processes share the tests, once for all of them."""
    shared = tmp_path_factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else None

    def outcome_of(name: str, bug: Bug) -> Outcome:
        if name not in OUTCOMES:
            known = shared and shared / f"bug_{TITLES.index(name)}.json"
            if known and known.exists():
                return OUTCOMES.setdefault(name, Outcome(*json.loads(known.read_text())))
            diagnosis = diagnose(bug.make(), *bug.sample(np.random.default_rng(SEED)))
            first = [(f.rule, f.cause) for f in diagnosis.findings[:1]]
            OUTCOMES[name] = Outcome(diagnosis.ok, *(first[0] if first else ()))
            if known:
                whole = known.with_suffix(f".{os.getpid()}")
                whole.write_text(json.dumps(OUTCOMES[name]))
                whole.rename(known)  # at once, so that no one reads half of it
        return OUTCOMES[name]

    return outcome_of


def rule_is_right(bug: Bug, found: Outcome) -> bool:
    """Rule 0 stands for the layer as a whole: right where the cause is."""
    return found.rule in bug.rules or (found.rule == 0 and found.cause in bug.causes)


def test_the_corpus_is_whole():
    assert len(set(TITLES)) == len(BUGS) == sum(map(len, FAMILIES.values())) >= 265
    assert len(RIGHT) >= 223
    for name, bug in zip(TITLES, BUGS, strict=True):
        assert set(bug.causes) <= set(CAUSES), name
        assert set(bug.rules) <= {1, 2, 3}, name
        assert bug.causes, name
        assert bug.rules, name


@pytest.mark.parametrize(("name", "bug"), list(zip(TITLES, BUGS, strict=True)), ids=TITLES)
def test_every_bug_is_found_in_its_rule(name, bug, outcome_of):
    found = outcome_of(name, bug)
    assert not found.ok
    assert found.cause in CAUSES
    assert rule_is_right(bug, found), f"rules {bug.rules}, causes {bug.causes}; found {found}"


def test_the_cause_named_first_is_mostly_right(outcome_of):
    found = {name: outcome_of(name, bug) for name, bug in zip(TITLES, BUGS, strict=True)}
    rules = [name for name, bug in zip(TITLES, BUGS, strict=True) if not rule_is_right(bug, found[name])]
    causes = [
        f"{name}: {found[name].cause} for {' or '.join(bug.causes)}"
        for name, bug in zip(TITLES, BUGS, strict=True)
        if found[name].cause not in bug.causes
    ]
    print(f"{len(rules)} of {len(BUGS)} with another rule:", *rules, sep="\n    ")
    print(f"{len(causes)} of {len(BUGS)} with another cause:", *causes, sep="\n    ")
    assert len(rules) <= 0.02 * len(BUGS)
    assert len(causes) <= 0.1 * len(BUGS)


def as_float32(value):
    if type(value) is tuple:
        return tuple(map(as_float32, value))
    floating = isinstance(value, np.ndarray) and value.dtype.kind == "f"
    return value.astype(np.float32) if floating else value


@pytest.mark.parametrize("number", range(len(RIGHT)), ids=[right.name for right in RIGHT])
def test_right_layers_are_left_in_peace(number):
    """Inputs of any size, half of them in float32, which are judged in float64."""
    right, rng = RIGHT[number], np.random.default_rng((SEED + 1, number))
    layer, (z, *arguments) = right.make(rng), right.sample(rng, 10 ** rng.uniform(-3, 3))
    diagnosis = diagnose(layer, as_float32(z) if number % 2 else z, *arguments)
    assert not diagnosis.findings, str(diagnosis)
