"""The nonlinear regressions of NIST's Statistical Reference Datasets: curves, data and certified values of 27 problems.

The files of nist/ are as published: NIST/ITL StRD, https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml, a work of
the government of the USA, in the public domain.  Certified numbers have 11 digits.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nist_curves import (
    ENSO,
    MGH09,
    MGH10,
    MGH17,
    Bennett5,
    Chwirut,
    Curve,
    DanWood,
    Eckerle4,
    Gauss,
    Lanczos,
    Misra1b,
    Misra1c,
    Misra1d,
    Nelson,
    Rat42,
    Rat43,
    Rational,
    Roszman1,
    Saturation,
)

from minigrad.typing import Array

FOLDER = Path(__file__).parent / "nist"

MODELS: dict[str, Callable[[Array], Curve]] = {
    "Misra1a": Saturation,
    "Misra1b": Misra1b,
    "Misra1c": Misra1c,
    "Misra1d": Misra1d,
    "Chwirut1": Chwirut,
    "Chwirut2": Chwirut,
    "DanWood": DanWood,
    "Lanczos1": Lanczos,
    "Lanczos2": Lanczos,
    "Lanczos3": Lanczos,
    "Gauss1": Gauss,
    "Gauss2": Gauss,
    "Gauss3": Gauss,
    "Kirby2": Rational,
    "Hahn1": Rational,
    "Thurber": Rational,
    "Nelson": Nelson,
    "MGH09": MGH09,
    "MGH10": MGH10,
    "MGH17": MGH17,
    "ENSO": ENSO,
    "Eckerle4": Eckerle4,
    "Rat42": Rat42,
    "Rat43": Rat43,
    "Bennett5": Bennett5,
    "BoxBOD": Saturation,
    "Roszman1": Roszman1,
}


@dataclass(frozen=True)
class Certified:
    """A file of nist/: the data, two starts, and what is certified."""

    name: str
    level: str  # of difficulty: Lower, Average, Higher
    x: Array  # (N, columns)
    y: Array  # (N, 1)
    starts: tuple[Array, Array]
    parameters: Array
    deviations: Array  # standard deviations of the parameters, with n - p in the variance
    rss: float  # the residual sum of squares
    deviation: float  # of the residuals, the root of rss / (n - p)

    @property
    def freedom(self) -> int:
        """n - p.  The file of Rat43 says 9 for 15 - 4, but its deviations are those of 11."""
        return len(self.y) - len(self.parameters)

    def model(self, start: int) -> Curve:
        """The curve at start 1 or 2, or, as start 0, at the certified values."""
        return MODELS[self.name]((self.parameters, *self.starts)[start])


def certified(name: str) -> Certified:
    """The problem of that name, as its file says."""
    lines = (FOLDER / f"{name}.dat").read_text().splitlines()
    head, body = lines[:60], lines[60:]
    table = [line.split("=")[1].split() for line in head if re.match(r"\s*b\d+ =", line)]
    start1, start2, parameters, deviations = np.array(table, float).T

    def after(label: str) -> str:
        return next(line.split(":")[1].strip() for line in head if line.startswith(label))

    data = np.array([line.split() for line in body if line.strip()], float)
    y = np.log(data[:, :1]) if name == "Nelson" else data[:, :1]
    assert len(data) == int(after("Number of Observations"))
    level = next(re.search(r"(\w+) Level of Difficulty", line) for line in head if "Level of Difficulty" in line)
    return Certified(
        name,
        level[1],
        data[:, 1:],
        y,
        (start1, start2),
        parameters,
        deviations,
        float(after("Residual Sum of Squares")),
        float(after("Residual Standard Deviation")),
    )
