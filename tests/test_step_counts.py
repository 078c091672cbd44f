"""What a training step costs, counted instead of timed: calls, lines and bytes, which are the same at every run.

The limits are what a step takes now.  One that takes less is welcome, and then has a new limit; one that takes more has
to say why.  The times are those of `python -m benchmarks`.
"""

import gc
import sys
import tracemalloc
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import minigrad
from minigrad import SGD, Adam, Linear, LogSoftmax, NLLLoss, ReLU, Sequential, fusions, value_and_gradients

PACKAGE = str(Path(minigrad.__file__).parent)  # what NumPy calls within itself is its own affair


class Counts(NamedTuple):
    """Of one step: minigrad's functions called; compiled ones that it called; lines run; bytes at the peak.

    NumPy's ufuncs, such as np.exp, and operators count as lines: Python does not tell of their calls.
    """

    calls: int
    compiled: int
    lines: int
    peak: int


class Workload(NamedTuple):
    """A batch, the widths of a perceptron, the optimiser; and the limits of its step."""

    rows: int
    widths: tuple[int, ...]
    optimiser: type
    limit: Counts


WORKLOADS = {
    "W1": Workload(32, (64, 10), SGD, Counts(43, 44, 210, 5640)),
    "W2": Workload(256, (784, 10), SGD, Counts(48, 58, 239, 77096)),
    "W3": Workload(60000, (784, 10), SGD, Counts(1027, 3447, 7275, 159716)),
    "W4": Workload(128, (784, 256, 128, 10), Adam, Counts(178, 189, 689, 1073536)),
}


def step_of(workload):
    """A step that has run before, so that what is made once is there."""
    rng = np.random.default_rng(0)
    layers = []
    for below, above in zip(workload.widths[:-1], workload.widths[1:], strict=True):
        layers += [Linear(below, above, rng=rng, dtype=np.float32), ReLU()]
    cost = Sequential(*layers[:-1], LogSoftmax(), NLLLoss())
    x = rng.normal(size=(workload.rows, workload.widths[0])).astype(np.float32)
    t = rng.integers(0, workload.widths[-1], workload.rows)
    optimiser = workload.optimiser(cost, 1e-6)

    def step():
        value, gradients = value_and_gradients(cost, x, t)
        optimiser.step(gradients)
        return value

    for _ in range(3):
        step()
    return step


def counted(step):
    """The counts of one run of `step`."""
    calls = compiled = lines = 0

    def profile(frame, event, argument):
        nonlocal calls, compiled
        if frame.f_code.co_filename.startswith(PACKAGE):
            calls += event == "call"
            compiled += event == "c_call"

    def trace(frame, event, argument):
        nonlocal lines
        lines += event == "line" and frame.f_code.co_filename.startswith(PACKAGE)
        return trace

    before = sys.getprofile(), sys.gettrace()
    try:
        sys.setprofile(profile)
        step()
        sys.setprofile(None)
        sys.settrace(trace)
        step()
    finally:
        sys.setprofile(before[0])
        sys.settrace(before[1])
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        step()
        tracemalloc.reset_peak()
        start = tracemalloc.get_traced_memory()[0]
        step()
        peak = tracemalloc.get_traced_memory()[1] - start
    finally:
        tracemalloc.stop()
        gc.enable()
    return Counts(calls, compiled, lines, peak)


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_step_costs_no_more_than_it_did(name):
    workload = WORKLOADS[name]
    step = step_of(workload)
    found, again = counted(step), counted(step)
    assert found[:3] == again[:3], "what is counted is the same at every run"
    assert abs(found.peak - again.peak) <= 1024
    limit = workload.limit
    assert all(own <= most for own, most in zip(found[:3], limit[:3], strict=True)), found
    assert found.peak <= limit.peak + 1024, found
    with fusions.off():
        plain = counted(step)
    assert any(own > most for own, most in zip(plain, limit, strict=True)), f"limits that say nothing: {plain}"
