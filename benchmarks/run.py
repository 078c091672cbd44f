"""Time the peers of one workload in rounds that take turns, after they have been seen to agree."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np

from benchmarks.limits import Limit

BURST = 0.02  # seconds of steps of one peer in one round: so long that a small step is as in a loop of its own
LONG = 1.0  # seconds: a step that takes longer is not kept warm by one that is not timed
BUDGET = 5.0  # seconds for the rounds of one workload, within FEWEST and MOST
FEWEST, MOST = 5, 60
TOLERANCE = {"float32": 1e-3, "float64": 1e-8}

Step = Callable[[], Any]
P = TypeVar("P")
_named: set[tuple[str, str]] = set()  # who was left out, and why


class LeftOut(Exception):  # noqa: N818 - it is not an error
    """Why a peer is not timed: it does not get there."""


class Peer(NamedTuple):
    """A step that is timed, `read`, which makes arrays to compare of what it returns, and `free`.

    What a library keeps between steps though the next one makes it anew, such as gradients, `free` lets go.
    """

    step: Step
    read: Callable[[Any], list[Any]]
    free: Step = lambda: None


@dataclass(frozen=True)
class Workload:
    """What is timed: each of `peers` makes its Peer from the same `data`, which is small when that is asked for."""

    name: str
    title: str
    dtype: str
    data: Callable[[bool], Any]
    peers: Mapping[str, Callable[[Any], Peer]]
    limit: Callable[[Any], Limit] | None = None
    steps: int = 1  # before they are compared: the derivatives of a training step show in those that follow
    allowance: Callable[[Any], int] | None = None  # bytes that its bar of memory allows
    fewest: int = FEWEST  # rounds
    budget: float = BUDGET
    slack: float = 1.0  # by which peers may differ more than TOLERANCE
    memory: bool = True  # whether memory is measured too
    on_demand: bool = False  # whether it is only run when named in full

    @property
    def key(self) -> str:
        """The name, and the type where it is not the usual one."""
        return self.name if self.dtype == "float32" else f"{self.name}, {self.dtype}"


@dataclass
class Times:
    """Seconds of one step, by peer and round, what the limit was made of, and who did not get there."""

    seconds: dict[str, np.ndarray]
    arrangement: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def threads() -> int:
    """So many has each library: see `one_thread.py`."""
    return int(os.environ.get("BENCHMARK_THREADS", "1"))


def measure(workload: Workload, smoke: bool = False, only: tuple[str, ...] = ()) -> Times:
    """Time the limit and all peers, or those of `only` some libraries; AssertionError where they do not agree."""
    data = workload.data(smoke)
    makers = {name: make for name, make in workload.peers.items() if not only or name.split(",")[0] in only}
    left_out: dict[str, str] = {}
    peers = installed(makers, data, left_out=left_out)
    require_agreement(workload, peers)
    steps = {name: peer.step for name, peer in peers.items()}
    arrangement: list[str] = []
    if workload.limit is not None and not only:
        limit = workload.limit(data)
        steps["limit"], arrangement = limit.step, limit.arrangement
    if smoke:
        return Times(rounds(steps, 2, BURST / 40), arrangement, left_out)
    return Times(rounds(steps, None, BURST, workload.fewest, workload.budget), arrangement, left_out)


def installed(
    makers: Mapping[str, Callable[[Any], P]],
    data: Any,
    required: str = "minigrad",
    left_out: dict[str, str] | None = None,
) -> dict[str, P]:
    """What is made by those whose libraries are there, and that get there; others are named, once.

    Those that are there and do not get there are written into `left_out`, by name, and why.
    """
    peers = {}
    for name, make in makers.items():
        try:
            peers[name] = make(data)
        except (ImportError, LeftOut) as error:
            if name == required:
                raise
            if left_out is not None and isinstance(error, LeftOut):
                left_out[name] = str(error)
            if (name, str(error)) not in _named:
                print(f"   {name} is left out: {error}", file=sys.stderr)
            _named.add((name, str(error)))
    return peers


def require_agreement(workload: Workload, peers: Mapping[str, Peer]) -> None:
    """Each peer's values and derivatives are those of minigrad, and its derivatives of its type (AssertionError)."""
    found = {}
    for name, peer in peers.items():
        for _ in range(workload.steps - 1):
            peer.step()
        found[name] = [np.asarray(array) for array in peer.read(peer.step())]
    expected = found["minigrad"]
    for name, arrays in found.items():
        shapes, wanted = ([array.shape for array in those] for those in (arrays, expected))
        assert shapes == wanted, f"{workload.key}: {name} gives arrays of shapes {shapes}, minigrad {wanted}"
        for i, (array, other) in enumerate(zip(arrays, expected, strict=True)):
            # A value may be a number of Python's; a library that works in another type than minigrad is another race.
            assert not array.ndim or array.dtype == other.dtype, (
                f"{workload.key}: {name} works in {array.dtype}, minigrad in {other.dtype}"
            )
            error = float(np.linalg.norm((array - other).ravel())) / max(float(np.linalg.norm(other.ravel())), 1e-300)
            assert error <= workload.slack * TOLERANCE[workload.dtype], (
                f"{workload.key}: {name} differs from minigrad by {error:.1e} in array {i} of {len(expected)}"
            )


def rounds(
    steps: Mapping[str, Step], count: int | None, burst: float, fewest: int = FEWEST, budget: float = BUDGET
) -> dict[str, np.ndarray]:
    """Seconds of one step, by peer and round; without a count, of as many rounds as the budget has time for.

    Every other round goes backwards, so that nobody always follows the same neighbour.
    """
    repeats, warm, total = {}, {}, 0.0
    for name, step in steps.items():
        step()  # may compile
        once = seconds_of(step)
        repeats[name], warm[name] = max(1, int(burst / once)), once < LONG
        total += max(once, burst) + once * warm[name]
    times: dict[str, list[float]] = {name: [] for name in steps}
    for i in range(min(max(int(budget / total), fewest), MOST) if count is None else count):
        for name, step in list(steps.items())[:: -1 if i % 2 else 1]:
            if warm[name]:
                step()  # memory, caches and branch predictors as in a loop of its own
            times[name].append(seconds_of(step, repeats[name]))
    return {name: np.array(values) for name, values in times.items()}


def seconds_of(step: Step, count: int = 1) -> float:
    """Of one step, by so many."""
    start = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - start) / count
