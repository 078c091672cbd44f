"""The benchmarks measure what they say: clocks, limits, memory, agreement, bars, and the tables that are published."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from benchmarks import bars, limits, memory, report, run
from benchmarks.run import LeftOut, Peer, Workload
from benchmarks.workloads import WORKLOADS

ROOT = Path(__file__).parents[1]


def python(*arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, cwd=ROOT)
    return done.returncode, done.stdout, done.stderr


def workload(peers, **settings):
    return Workload("X", "a thing", "float64", lambda smoke: 3.0, peers, **settings)


def constant(*arrays):
    return lambda data: Peer(lambda: arrays, list)


# Rounds.


class Clock:
    """Time passes when a step says so."""

    def __init__(self):
        self.now, self.calls = 0.0, []

    def perf_counter(self):
        return self.now

    def step(self, name, *seconds):
        def one():
            self.calls.append(name)
            self.now += seconds[min(self.calls.count(name), len(seconds)) - 1]

        return one


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(run, "time", clock)
    return clock


def test_rounds_time_a_burst_of_each_and_every_other_goes_backwards(clock):
    times = run.rounds({"slow": clock.step("slow", 0.5), "quick": clock.step("quick", 0.25)}, 3, 1.0)
    assert {name: list(values) for name, values in times.items()} == {"slow": [0.5] * 3, "quick": [0.25] * 3}
    # Two to see how long it takes; then, in each round, one that is not timed and a second of those that are.
    slow, quick = ["slow"] * 3, ["quick"] * 5
    assert clock.calls == ["slow"] * 2 + ["quick"] * 2 + slow + quick + quick + slow + slow + quick


def test_rounds_leave_the_first_step_out(clock):
    times = run.rounds({"compiled": clock.step("compiled", 9.0, 0.25)}, 2, 1.0)
    assert list(times["compiled"]) == [0.25, 0.25]
    assert clock.calls == ["compiled"] * (2 + 2 * 5)  # it counts as what takes 0.25


@pytest.mark.parametrize(("seconds", "calls"), [(0.9, 2 + 3 * 2), (1.1, 2 + 3)])
def test_a_step_above_a_burst_is_warm_too_unless_it_takes_long(clock, seconds, calls):
    run.rounds({"a": clock.step("a", seconds)}, 3, 0.02)
    assert len(clock.calls) == calls


def test_the_number_of_rounds_is_that_of_the_budget(clock):
    begin = clock.now
    count = len(run.rounds({"a": clock.step("a", 0.5)}, None, 0.1, 2, 5.0)["a"])
    assert count == 5
    assert clock.now - begin == 1.0 + 5.0  # with the steps that are not timed
    assert len(run.rounds({"b": clock.step("b", 50.0)}, None, 0.1, 2, 5.0)["b"]) == 2
    assert len(run.rounds({"c": clock.step("c", 1e-3)}, None, 1e-3, 2, 5.0)["c"]) == run.MOST


# Agreement.


def test_peers_that_agree_are_timed():
    times = run.measure(workload({"minigrad": constant(1.0, np.ones(3)), "other": constant(1.0, np.ones(3))}), True)
    assert list(times.seconds) == ["minigrad", "other"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((1.0, np.array([1, 1, 1 + 1e-6])), r"X, float64: other differs from minigrad by 5.8e-07 in array 1 of 2"),
        ((1 + 1e-6, np.ones(3)), r"other differs from minigrad by 1.0e-06 in array 0 of 2"),
        ((np.nan, np.ones(3)), r"other differs from minigrad by nan in array 0"),
        ((1.0, np.ones(4)), r"other gives arrays of shapes \[\(\), \(4,\)\], minigrad \[\(\), \(3,\)\]"),
        ((1.0, np.ones(3, np.float32)), r"X, float64: other works in float32, minigrad in float64"),
        ((1.0,), r"other gives arrays of shapes \[\(\)\]"),
    ],
)
def test_a_peer_that_differs_is_not_timed(arrays, message):
    peers = {"minigrad": constant(1.0, np.ones(3)), "other": constant(*arrays)}
    with pytest.raises(AssertionError, match=message):
        run.measure(workload(peers), True)


def test_some_libraries_may_be_timed_alone_in_all_their_ways():
    names = ("minigrad", "PyTorch", "PyTorch, fused", "PyTorchon", "JAX")
    peers = {name: constant(1.0) for name in names}
    assert list(run.measure(workload(peers), True, ("minigrad", "PyTorch")).seconds) == list(names[:3])


def test_training_steps_are_compared_after_some():
    def drifting(rate):
        def make(data):
            theta = np.ones(3)

            def step():
                theta[...] -= rate * theta
                return theta[0]

            return Peer(step, lambda value: [value])

        return make

    peers = {"minigrad": drifting(0.1), "other": drifting(0.1 + 2e-9)}
    run.measure(workload(peers, steps=1), True)
    with pytest.raises(AssertionError, match="other differs from minigrad by"):
        run.measure(workload(peers, steps=9), True)


def test_who_is_not_there_is_left_out_but_not_minigrad(capsys):
    def missing(data):
        raise ImportError("No module named 'abacus'")

    def unable(data):
        raise LeftOut("it never gets there")

    peers = {"minigrad": constant(1.0), "abacus": missing, "sundial": unable}
    assert list(run.installed(peers, None)) == ["minigrad"]
    assert list(run.installed(peers, None)) == ["minigrad"]
    said = capsys.readouterr().err
    assert said.count("abacus is left out: No module named 'abacus'") == 1
    assert said.count("sundial is left out: it never gets there") == 1
    assert run.measure(workload(peers), True).left_out == {"sundial": "it never gets there"}
    with pytest.raises(ImportError, match="abacus"):
        run.installed({"minigrad": missing}, None)


# Limits.


@pytest.mark.parametrize("n", [5, 48, 96, 97, 256, 1000])
@pytest.mark.parametrize("k", [3, 70])
def test_every_arrangement_is_the_product_of_all_rows(n, k):
    rng = np.random.default_rng((n, k))
    x, weight, delta = rng.normal(size=(n, 11)), rng.normal(size=(k, 11)), rng.normal(size=(n, k))
    for ways, expected in ((limits.linear(x, weight), x @ weight.T), (limits.gradient(delta, x), delta.T @ x)):
        assert len(ways) > 3 or k > limits.FEW or n <= limits.ROWS[0]
        for name, step in ways.items():
            for _ in range(2):
                found = np.array(step())
            np.testing.assert_allclose(
                found.T if found.shape != expected.shape else found, expected, rtol=0, atol=1e-11, err_msg=name
            )


@pytest.mark.parametrize("n", [256, 1000])
def test_both_products_at_once_are_those_of_all_rows(monkeypatch, n):
    monkeypatch.setattr(limits, "IN_CACHE", 0)
    rng = np.random.default_rng(n)
    x, weight, delta = rng.normal(size=(n, 11)), rng.normal(size=(3, 11)), rng.normal(size=(n, 3))
    ways = limits.both(x, weight, delta)
    assert len(ways) > 5
    for name, step in ways.items():
        z, d_weight = step()
        z = z if z.shape == (n, 3) else z.T
        d_weight = d_weight if d_weight.shape == weight.shape else d_weight.T
        np.testing.assert_allclose(z, x @ weight.T, rtol=0, atol=1e-11, err_msg=name)
        np.testing.assert_allclose(d_weight, delta.T @ x, rtol=0, atol=1e-11, err_msg=name)


def test_the_quickest_arrangement_is_chosen(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(limits, "time", clock)
    ways = {"first": clock.step("first", 0.1, 3.0), "second": clock.step("second", 9.0, 0.05), "third": lambda: None}
    ways["third"] = clock.step("third", 0.2)
    assert limits.quickest(ways)[0] == "second"


@pytest.mark.parametrize(("passes", "moved"), [(1, [-1]), (3, [-1, -1, -1])])
def test_the_update_of_a_limit_goes_over_arrays_of_their_own(monkeypatch, passes, moved):
    made, ones_like = [], np.ones_like

    def one_more(array):
        made.append(ones_like(array))
        return made[-1]

    monkeypatch.setattr(np, "ones_like", one_more)
    parameter = np.zeros((3, 2))
    (step,) = limits.update(parameter, passes).values()
    step()
    gradient, *moments = made
    assert (gradient == 1).all()
    assert [int(array.flat[0]) for array in (parameter, *moments)] == moved
    assert all((array == array.flat[0]).all() for array in (parameter, *moments))


# Memory.


def test_traced_memory_is_that_of_a_step_and_what_is_kept():
    def make(data):
        kept = np.ones(1_000_000)[:300_000].copy()  # what making it takes, is not a step's

        def step():
            first = kept[:100_000] + 1
            return first * first  # two arrays of 800 kB at the peak, one in the end

        return Peer(step, list)

    found = memory.traced(workload({"minigrad": make}), "minigrad")
    assert 2_400_000 <= found.kept < 2_410_000
    assert 1_600_000 <= found.peak < 1_610_000


def test_what_a_step_keeps_until_the_next_is_a_step_s():
    def make(data):
        kept = {}

        def step():
            kept["gradient"] = None
            kept["gradient"] = np.ones(100_000)

        return Peer(step, list, kept.clear)

    found = memory.traced(workload({"minigrad": make}), "minigrad")
    assert found.kept < 5_000
    assert 800_000 <= found.peak < 805_000


@pytest.mark.skipif(not memory.STATUS.exists(), reason="needs /proc")
def test_resident_memory_grows_by_what_a_step_touches():
    def step():
        return np.ones(5_000_000).sum()

    grown = memory.growth(Peer(step, list))
    assert 39e6 < grown < 45e6
    assert memory.growth(Peer(lambda: None, list)) < 4e6


# Bars.


def test_every_bar_is_of_a_workload_and_a_peer():
    by_key = {w.key: w for w in WORKLOADS}
    assert len(by_key) == len(WORKLOADS)
    for bar in bars.BARS:
        known = by_key[bar.workload]
        if bar.against == bars.LIMIT:
            assert known.limit is not None
        elif bar.against == bars.MEMORY:
            assert known.allowance is not None
        else:
            assert any(name.split(",")[0] == bar.against for name in known.peers), bar


@pytest.mark.parametrize(
    ("bar", "cells"),
    [
        (bars.Bar("X", "JAX", 2), ["JAX", "2.00x", "1.90x", "missed"]),
        (bars.Bar("X", "JAX", 1.9, stretch=True), ["JAX, a stretch", "1.90x", "1.90x", "met"]),
        (bars.Bar("X", "PyTorch", 2), ["PyTorch", "2.00x", "", "not measured"]),
        (bars.Bar("X", "limit", 1.3), ["limit", "<= 1.30", "1.25", "met"]),
        (bars.Bar("X", "limit", 1.2), ["limit", "<= 1.20", "1.25", "missed"]),
        (bars.Bar("X", "memory", 1), ["memory", "<= 5.0 MB", "5.1 MB", "missed"]),
    ],
)
def test_a_bar_says_whether_it_is_met(bar, cells):
    result = {
        "ratio": {"minigrad": 1.0, "JAX": 3.0, "JAX, optax": 1.9, "JAXON": 0.5},
        "of_limit": 1.25,
        "allowance": 5_000_000,
        "memory": {"minigrad": {"kept": 100_000, "peak": 5_000_000}},
    }
    assert bar.cells(result) == cells


def test_a_bar_of_a_workload_that_was_not_run_is_not_measured():
    shown = report.bars({"results": []})
    assert shown.count("not measured") == len(bars.BARS)
    assert "| W3 | memory |  |  | not measured |" in shown
    assert report.bars({"results": []}, of_others=False) == ""


# What is published.


def test_who_did_not_get_there_is_named_below_the_times():
    result = {"workload": "X", "title": "a thing", "seconds": {"minigrad": 1.0}, "ratio": {"minigrad": 1.0}}
    result["left_out"] = {"sundial": "it never gets there"}
    assert report.times({"results": [result]}).endswith("\n\nX leaves sundial out: it never gets there.")


def test_what_takes_minutes_is_only_run_when_named_in_full():
    from benchmarks.__main__ import named  # holds the process to one processor

    assert named("W1") == ["W1"]
    assert set(named("W6")) == {"W6a", "W6b", "W6c", "W6d"}
    assert named("W10") == ["W10 digits"]
    assert named("W10 large") == ["W10 large"]
    assert set(named("")) == {w.name for w in WORKLOADS} - {"W10 large"}


def test_the_tables_of_the_readme_are_those_of_the_stored_figures(tmp_path):
    for file in [*report.HERE.glob("*.json"), report.HERE / "README.md"]:
        (tmp_path / file.name).write_text(file.read_text())
    page = tmp_path / "README.md"
    published = page.read_text()
    page.write_text(published.replace("x |", "y |"))
    code = (
        "import sys, pathlib; from benchmarks import report; report.HERE = pathlib.Path(sys.argv[1]); report.refill()"
    )
    assert python("-c", code, str(tmp_path)) == (0, "", "")
    assert page.read_text() == published


def test_a_part_of_a_page_is_replaced():
    page = "above\n<!-- a -->\nold\n<!-- end of a -->\nbelow\n"
    assert report.replaced(page, "a", "new") == "above\n<!-- a -->\n\nnew\n\n<!-- end of a -->\nbelow\n"
    for wrong in (page.replace("<!-- end of a -->", ""), page + page):
        with pytest.raises(ValueError, match=r"README.md needs the lines <!-- a --> and <!-- end of a --> once each"):
            report.replaced(wrong, "a", "new")


@pytest.mark.parametrize(
    ("seconds", "shown"), [(3.25, "3.25 s"), (0.1234, "123 ms"), (4.5e-3, "4.5 ms"), (2.36e-5, "23.6 us")]
)
def test_durations_have_the_unit_that_suits_them(seconds, shown):
    assert report.duration(seconds) == shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["W99"], "no workload W99: there are W1, W2, W3s, W3, W4, W5, W6a"),
        (["--save", "--smoke"], "--save replaces published figures: it needs a run in full"),
        (["--threads", "4096"], "--threads 4096 needs as many processors, this process may use"),
    ],
)
def test_commands_that_make_no_sense_are_refused(arguments, message):
    code, _, error = python("-m", "benchmarks", *arguments)
    assert code == 2
    assert message in error


def test_importing_the_workloads_holds_no_process_to_one_processor():
    code = "import sys, benchmarks.workloads, benchmarks.report, benchmarks.memory"
    assert python("-c", code + "; assert 'benchmarks.one_thread' not in sys.modules") == (0, "", "")


def test_the_picture_names_every_line_and_no_two_names_meet():
    pytest.importorskip("matplotlib")
    from benchmarks.picture import AXES, growth

    names = ["minigrad", "PyTorch", "JAX"]
    results = [
        {
            "axis": axis,
            "size": size,
            "seconds": {name: size * (1 + i) for i, name in enumerate(names)},
            "bytes": {name: None if name == "JAX" else 1e6 * size for name in names},
        }
        for axis in AXES
        for size in (1, 10, 100)
    ]
    figure = growth({"results": results})
    figure.canvas.draw()
    rows = np.reshape(figure.axes, (3, 4))
    for line, beside in zip(rows[1, 0].lines, (1, 2, 3), strict=True):
        assert list(line.get_ydata()) == [beside] * 3
    for row, expected in zip(rows, (set(names), set(names), {"minigrad", "PyTorch"}), strict=True):
        for axes in row:
            assert {text.get_text() for text in axes.texts} == expected
            boxes = sorted((text.get_window_extent() for text in axes.texts), key=lambda box: box.y0)
            assert all(low.y1 <= high.y0 for low, high in pairwise(boxes))
