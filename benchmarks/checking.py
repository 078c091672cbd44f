"""Measure the checker of layers: what it finds of planted bugs, and how often it objects to right layers.

    python -m benchmarks.checking                   2000 checks of right layers
    python -m benchmarks.checking --checks 20000    as many as the published figure stands on
    python -m benchmarks.checking --save            write checking.json too
    python -m benchmarks.checking --smoke           a few of each, to see that it runs

The planted bugs are also put before the checkers of PyTorch and JAX, where these are installed.
"""

import argparse
import json
import multiprocessing
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from benchmarks import one_thread  # noqa: F401 - before NumPy
from benchmarks.__main__ import HERE, environment
from benchmarks.checking_peers import all_processors, planted, spread
from benchmarks.checking_peers import measure as peers

# isort: split
import numpy as np

import minigrad
from minigrad.testing import diagnose

COUNTS = ("found", "rule", "cause", "among", "crash")
EVERY = 5.0  # seconds between two lines of progress


class Verdict(NamedTuple):
    """What the checker made of one planted bug."""

    family: str
    name: str
    wanted: str
    said: str
    found: bool
    rule: bool  # the right rule is named first
    cause: bool  # the right cause is named first
    among: bool  # the right cause is named
    crash: bool
    seconds: float


class Check(NamedTuple):
    """One check of a right layer.  Each finding, or what was raised, is an alarm."""

    seed: int
    layer: str
    alarms: tuple[str, ...]
    untold: bool


def main() -> None:
    """Parse the command line, measure, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checking", description=__doc__.split("\n")[0])
    parser.add_argument("--checks", type=int, default=2000, help="checks of right layers; 2000 by default")
    parser.add_argument("--jobs", type=int, default=2, help="processes for the checks of right layers; 2 by default")
    parser.add_argument("--save", action="store_true", help="write checking.json")
    parser.add_argument("--smoke", action="store_true", help="a few of each; the figures mean nothing")
    options = parser.parse_args()
    if options.save and options.smoke:
        parser.error("--save replaces the published figures: it needs all bugs")
    if options.checks < 1 or options.jobs < 1:
        parser.error("--checks and --jobs are at least 1")
    step = 250 if options.smoke else 1
    report: dict[str, Any] = {"environment": versions()}
    for name, measure, show in (
        ("bugs", lambda: bugs(step), show_bugs),
        ("peers", lambda: peers(step), show_peers),
        ("models", lambda: models(slice(12, 13) if options.smoke else slice(None)), show_models),
        ("right layers", lambda: right(*((4, 1) if options.smoke else (options.checks, options.jobs))), show_right),
    ):
        print(f"{name} ...", file=sys.stderr, flush=True)
        report[name] = measure()
        print(show(report[name]), flush=True)
    print(", ".join(f"{name} {value}" for name, value in report["environment"].items()) + ".")
    if options.save:
        (HERE / "checking.json").write_text(json.dumps(report, indent=2) + "\n")


def versions() -> dict[str, str]:
    """What is measured, on what."""
    known = {name: value for name, value in environment().items() if name not in ("scikit-learn", "autograd")}
    return {**known, "minigrad": minigrad.__version__}


# Planted bugs.


def bugs(step: int) -> dict[str, Any]:
    """The figures of each family and of all, and the verdicts that are not right; with a step, on some of the bugs."""
    families = planted("bugs").FAMILIES.items()
    verdicts = [judge(family, bug) for family, members in families for bug in members[::step]]
    figures = {}
    for family in [*dict.fromkeys(v.family for v in verdicts), "all"]:
        mine = [v for v in verdicts if family in ("all", v.family)]
        counts = {key: sum(getattr(v, key) for v in mine) for key in COUNTS}
        figures[family] = {"bugs": len(mine), **counts, **spread([v.seconds for v in mine])}
    return {"families": figures, "wrong": [v._asdict() for v in verdicts if not (v.found and v.rule and v.cause)]}


def judge(family: str, bug: Any) -> Verdict:
    """Check one planted bug at the input that comes with it."""
    layer = bug.make()
    z, *arguments = bug.sample(np.random.default_rng(0))
    findings, crash = [], ""
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            findings = list(diagnose(layer, z, *arguments).findings)
    except Exception as error:
        crash = f"raises {raised(error)}"
    seconds = time.perf_counter() - start
    first = findings[0] if findings else None
    cause = first is not None and first.cause in bug.causes
    return Verdict(
        family=family,
        name=bug.name or type(layer).__name__,
        wanted=f"rule {' or '.join(map(str, bug.rules))}: {', '.join(bug.causes)}",
        said=crash or "; ".join(map(said, findings)) or "nothing",
        found=bool(findings),
        rule=first is not None and (first.rule in bug.rules or (first.rule == 0 and cause)),
        cause=cause,
        among=any(code in bug.causes for finding in findings for code in (finding.cause, *finding.also)),
        crash=bool(crash),
        seconds=seconds,
    )


def said(finding: Any) -> str:
    """A finding in a few words."""
    also = f" (or {', '.join(finding.also)})" if finding.also else ""
    array = f" of {finding.array}" if finding.array else ""
    return f"rule {finding.rule}{array}: {finding.cause}{also}"


def raised(error: Exception) -> str:
    """An exception in a line."""
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')[:120]}"


def show_bugs(result: dict[str, Any]) -> str:
    """A row for each family and the total, and a list of what went wrong."""
    header = ["planted bugs", "bugs", "found", "rule", "cause", "cause among", "crashes", "median s", "largest s"]
    lines = [table(header, [[family, *figures.values()] for family, figures in result["families"].items()])]
    lines += ["rule, cause: the right one is named first; cause among: it is named at all", ""]
    for key, title in (("found", "not found"), ("rule", "another rule first"), ("cause", "another cause first")):
        missed = [v for v in result["wrong"] if not v[key] and (v["found"] or key == "found")]
        lines += [f"{title}: {len(missed)}"]
        lines += [f"  {v['name']}: {v['said']}; planted: {v['wanted']}" for v in missed]
    return "\n".join([*lines, ""])


# Peers.


def show_peers(answers: dict[str, Any]) -> str:
    """What each finds of the planted bugs, by family, and its false alarms, by size of the input."""
    there = [answer for answer in answers.values() if answer]
    families, sizes = (list(there[0][key]) if there else [] for key in ("found", "alarms"))
    found, alarms = [], []
    for peer, answer in answers.items():
        if answer is None:
            found.append([peer, "not installed"])
            alarms.append([peer, "not installed"])
            continue
        found.append([peer, *answer["found"].values(), "-", "-", answer["median"], answer["largest"]])
        alarms.append([peer, *answer["alarms"].values()])
    header = ["peers, bugs found", *families, "rule", "cause", "median s", "largest s"]
    return f"{table(header, found)}\n\n{table(['peers, false alarms', *sizes], alarms)}\n"


# Whole models.


def models(some: slice) -> list[dict[str, Any]]:
    """For each whole model: the places that are wrong, and those that are named."""
    results = []
    for make, sample, place in planted("bugs").MODELS[some]:
        z, *arguments = sample(np.random.default_rng(0))
        try:
            named = {f.place for f in diagnose(make(), z, *arguments).findings if f.place}
        except Exception as error:
            named = {f"raises {raised(error)}"}
        results.append({"wrong": sorted(place.split(",")), "named": sorted(named)})
    return results


def show_models(results: list[dict[str, Any]]) -> str:
    """How many have exactly the right places named, and the others."""
    missed = [result for result in results if result["wrong"] != result["named"]]
    lines = [f"whole models: {len(results) - len(missed)} of {len(results)} with exactly the wrong layers named"]
    lines += [f"  wrong {', '.join(r['wrong'])}; named {', '.join(r['named']) or 'none'}" for r in missed]
    return "\n".join([*lines, ""])


# Right layers.


def right(count: int, jobs: int) -> dict[str, Any]:
    """Check right layers from seed 0 on."""
    planted("right")  # or say that it is not there
    with multiprocessing.get_context("spawn").Pool(jobs, all_processors) as pool:
        checks = list(progress(pool.imap_unordered(check, range(count), chunksize=4), count))
    checks.sort()
    alarms = [c._asdict() for c in checks if c.alarms]
    return {"checks": count, "alarms": alarms, "untold": [c._asdict() for c in checks if c.untold]}


def check(seed: int) -> Check:
    """One check of the right layer whose turn it is, at an input of random size, half of them in float32."""
    layers = planted("right").RIGHT
    entry, rng = layers[seed % len(layers)], np.random.default_rng(seed)
    size, single = 10 ** rng.uniform(-3, 3), rng.random() < 0.5
    layer = entry.make(rng)
    z, *arguments = entry.sample(rng, size)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            diagnosis = diagnose(layer, in_single(z) if single else z, *arguments, rng=seed)
        except Exception as error:
            return Check(seed, entry.name, (f"raises {raised(error)}",), False)
    alarms = tuple(f"rule {finding.rule}: {finding.cause}" for finding in diagnosis.findings)
    return Check(seed, entry.name, alarms, bool(diagnosis.untold))


def in_single(z: Any) -> Any:
    """The floating arrays of z in float32."""
    if type(z) is tuple:
        return tuple(in_single(part) for part in z)
    return z.astype(np.float32) if z.dtype.kind == "f" else z


def progress(checks: Iterable[Check], count: int) -> Iterator[Check]:
    """Pass the checks on, and say every few seconds how many are done."""
    last, alarms = time.monotonic(), 0
    for done, result in enumerate(checks, 1):
        alarms += bool(result.alarms)
        if time.monotonic() - last > EVERY or done == count:
            last = time.monotonic()
            print(f"   {done}/{count} checks, {alarms} alarms", file=sys.stderr, flush=True)
        yield result


def show_right(result: dict[str, Any]) -> str:
    """How many false alarms, and a table of them by layer and cause."""
    count, alarms, untold = result["checks"], result["alarms"], result["untold"]
    lines = [f"right layers: {len(alarms)} false alarms in {count} checks; of {len(untold)} nothing could be told", ""]
    said = Counter((a["layer"], alarm) for a in alarms for alarm in dict.fromkeys(a["alarms"]))
    seeds = {pair: [a["seed"] for a in alarms if a["layer"] == pair[0] and pair[1] in a["alarms"]] for pair in said}
    rows = [[*pair, n, " ".join(map(str, seeds[pair][:5]))] for pair, n in said.most_common()]
    if rows:
        lines += [table(["false alarm", "said", "checks", "seeds"], rows), ""]
    rows = [[layer, n] for layer, n in Counter(u["layer"] for u in untold).most_common()]
    return "\n".join([*lines, *([table(["nothing told", "checks"], rows), ""] if rows else [])])


def table(header: Sequence[Any], rows: Sequence[Sequence[Any]]) -> str:
    """Columns of plain text, the first to the left, numbers to the right."""
    columns = max(map(len, (header, *rows)))
    full = [[str(cell) for cell in row] + [""] * (columns - len(row)) for row in (header, *rows)]
    widths = [max(len(row[i]) for row in full) for i in range(columns)]
    lines = [
        "  ".join(
            cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in full
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


if __name__ == "__main__":
    main()
