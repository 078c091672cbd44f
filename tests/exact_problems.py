"""Problems of maximum likelihood whose solutions are known to 25 digits: the data, as exact numbers.

Columns are literals, files of the examples, or come of a fixed recurrence in integers, never of a library's generator:
they are the same floats everywhere.  Floats are rational numbers, and exact_fits.py solves for just these; what it
finds stands in exact/*.json.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).parent.parent / "examples" / "data"
SOLUTIONS = Path(__file__).parent / "exact"


@dataclass(frozen=True)
class Problem:
    """Rows with the predictor offset_n + x_n . b + bias; softmax: one for each of classes 1, 2, ..., 0 for class 0."""

    name: str
    likelihood: str  # logit, softmax, probit, poisson, gaussian or weibull
    x: np.ndarray  # (N, D), without the constant column
    target: np.ndarray  # (N,)
    weights: np.ndarray | None = None  # counts of the rows
    offset: np.ndarray | None = None
    classes: int = 2

    def design(self) -> np.ndarray:
        """The columns and the constant, last as the bias is."""
        return np.column_stack([self.x, np.ones(len(self.x))])


def integers(seed: int, count: int, limit: int) -> np.ndarray:
    """Whole numbers 0, ..., limit - 1 by the recurrence s <- 1103515245 s + 12345 modulo 2^31, its upper bits."""

    def draws() -> Iterator[int]:
        state = seed
        while True:
            state = (1103515245 * state + 12345) % 2**31
            yield (state >> 8) * limit >> 23

    stream = draws()
    return np.array([next(stream) for _ in range(count)])


def symmetric(seed: int, count: int) -> np.ndarray:
    """Multiples of 1/64 between -3 and 3, many near 0: a sum of three uniform numbers."""
    return (integers(seed, 3 * count, 129).reshape(count, 3).sum(axis=1) - 192) / 64


def yes_or_no(predictor: np.ndarray, seed: int) -> np.ndarray:
    """0 or 1: whether the predictor is above a threshold of much noise, so that no line separates them."""
    return (predictor > symmetric(seed, len(predictor))).astype(float)


def challenger() -> Problem:
    data = np.loadtxt(DATA / "challenger.csv", delimiter=",", skiprows=1)
    return Problem("challenger", "logit", data[:, :1], data[:, 1])


def wine() -> Problem:
    data = np.loadtxt(DATA / "wine.csv", delimiter=",", skiprows=1)
    return Problem("wine", "softmax", data[:, 1:], data[:, 0] - 1, classes=3)


def conditioned(power: int) -> Problem:
    """Logit on u and u + 2^-power v: the condition of the information grows with 4^power."""
    u, v = symmetric(1, 60), symmetric(2, 60)
    return Problem(
        f"nearly_collinear_{power}", "logit", np.column_stack([u, u + v / 2**power]), yes_or_no(u + v / 2, 3)
    )


def scaled() -> Problem:
    """Logit on columns of sizes 1e-150, 1 and 1e150."""
    x = np.column_stack([symmetric(seed, 50) for seed in (4, 5, 6)])
    return Problem("scales", "logit", x * [1e-150, 1.0, 1e150], yes_or_no(x @ [1, -0.5, 0.25], 7))


def scaled_classes() -> Problem:
    """Softmax of four classes on columns of sizes 1e150 and 1e-150, with counts of rows."""
    x = np.column_stack([symmetric(seed, 80) for seed in (8, 9)])
    noise = np.column_stack([symmetric(seed, 80) for seed in (10, 11, 12, 13)])
    units = x @ np.array([[0, 1, -1, 0.5], [0, 0.5, 0.5, -1]]) + noise
    counts = 1.0 + integers(14, 80, 4)
    return Problem("scales_of_classes", "softmax", x * [1e150, 1e-150], units.argmax(axis=1), counts, classes=4)


def years(likelihood: str) -> Problem:
    """Two rows of every year from 2000 to 2025, not centred, and a yes or no, or a count of events, that grow."""
    year = np.repeat(np.arange(2000.0, 2026.0), 2)
    trend = (year - 2012) / 8
    target = yes_or_no(trend, 15) if likelihood == "logit" else np.floor((trend + 3) ** 2) + integers(16, 52, 5)
    return Problem(f"years_{likelihood}", likelihood, year[:, None], target)


def beetles(likelihood: str) -> Problem:
    """Bliss's beetles: dose, and how many of a group died or lived, as rows with counts.

    C. I. Bliss, "The calculation of the dosage-mortality curve", Annals of Applied Biology 22 (1935) 134-167.
    """
    dose = np.array([1.6907, 1.7242, 1.7552, 1.7842, 1.8113, 1.8369, 1.8610, 1.8839])
    groups, died = np.array([59, 60, 62, 56, 63, 59, 62, 60]), np.array([6, 13, 18, 28, 52, 53, 61, 60])
    x, t = np.tile(dose, 2)[:, None], np.repeat([1.0, 0.0], 8)
    counts = np.concatenate([died, groups - died]).astype(float)
    some = counts > 0
    return Problem(f"beetles_{likelihood}", likelihood, x[some], t[some], counts[some])


def with_offset() -> Problem:
    """Logit with a known part of the predictor."""
    x, offset = np.column_stack([symmetric(17, 60), symmetric(18, 60)]), symmetric(19, 60)
    return Problem("offset_logit", "logit", x, yes_or_no(x @ [0.5, -1] + offset, 20), offset=offset)


def exposures() -> Problem:
    """Counts of events with exposures, whose logarithms, to 10 bits, are the offset."""
    x, exposure = np.column_stack([symmetric(21, 70), symmetric(22, 70)]), 1.0 + integers(23, 70, 40)
    rate = (2 + x[:, 0]) ** 2 / 16 + 0.125
    counts = np.floor(rate * exposure * integers(24, 70, 33) / 16)
    return Problem("exposures", "poisson", x, counts, offset=np.round(np.log(exposure) * 1024) / 1024)


def touching(overlap: float) -> Problem:
    """Logit on one column whose classes overlap by that much, about 1/2: the slope grows with log(1 / overlap)."""
    x = np.array([-1.5, -0.75, -0.5, 0.25, 0.5 + overlap, 0.5, 0.75, 1.25, 1.5, 2.0])
    return Problem(f"overlap_{overlap:g}", "logit", x[:, None], np.repeat([0.0, 1.0], 5))


def cliff(width: float) -> Problem:
    """Logit on rows at -width, 3 to 1 of class 0, at width, 2 to 1 of class 1, and at +-1/2 and +-1, all on their side.

    The rows near 0 alone have slope log(6) / (2 width) and bias log(2/3) / 2.  Those farther off have logits of about
    1 / width, which change that by e^(-1 / width), and probabilities that floats cannot tell from 0 and 1.
    """
    near = np.array([-1, -1, -1, 1, -1, 1, 1]) * width
    x = np.concatenate([near, [-1.0, -0.5, 0.5, 1.0]])
    return Problem(f"cliff_{width:g}", "logit", x[:, None], np.array([0.0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1]))


def probit() -> Problem:
    x = np.column_stack([symmetric(25, 60), symmetric(26, 60)])
    return Problem("probit", "probit", x, yes_or_no(x @ [0.75, 0.5], 27))


def gaussian() -> Problem:
    x = np.column_stack([symmetric(28, 40), symmetric(29, 40)])
    return Problem("gaussian", "gaussian", x, x @ [2, -1] + 10 + symmetric(30, 40) / 4)


def weibull() -> Problem:
    """Lifetimes in hours: a scale that is log-linear in two columns, and a shape for all."""
    x = np.column_stack([symmetric(31, 50), symmetric(32, 50)])
    hours = np.ceil((4 + x[:, 0]) ** 2 * (4 + symmetric(33, 50)))
    return Problem("weibull", "weibull", x, hours)


def leukaemia() -> Problem:
    """Weeks of survival of 17 patients who were AG positive and 16 who were not.

    P. Feigl and M. Zelen, "Estimation of exponential survival probabilities with concomitant information", Biometrics
    21 (1965) 826-838.
    """
    positive = [65, 156, 100, 134, 16, 108, 121, 4, 39, 143, 56, 26, 22, 1, 1, 5, 65]
    negative = [56, 65, 17, 7, 16, 22, 3, 4, 2, 3, 8, 4, 3, 30, 4, 43]
    x = np.repeat([1.0, 0.0], [len(positive), len(negative)])
    return Problem("leukaemia", "weibull", x[:, None], np.array([*positive, *negative], float))


PROBLEMS = {
    problem.name: problem
    for problem in [
        challenger(),
        wine(),
        *(conditioned(power) for power in (3, 6, 9, 13, 16)),
        scaled(),
        scaled_classes(),
        years("logit"),
        years("poisson"),
        beetles("logit"),
        beetles("probit"),
        with_offset(),
        exposures(),
        *(touching(overlap) for overlap in (1e-3, 1e-6, 1e-9)),
        *(cliff(width) for width in (1e-3, 1e-6, 1e-9)),
        probit(),
        gaussian(),
        weibull(),
        leukaemia(),
    ]
}


def solution(name: str) -> dict[str, Any]:
    """The solution of a problem: arrays of the floats next to the 25 digits of its file."""

    def numbers(entry: Any) -> Any:
        return [numbers(part) for part in entry] if isinstance(entry, list) else float(entry)

    held = json.loads((SOLUTIONS / f"{name}.json").read_text())
    return {key: np.array(numbers(entry)) for key, entry in held.items() if key != "likelihood"}
