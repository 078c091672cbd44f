"""The digits of the examples, 1797 x 64, ten classes."""

from pathlib import Path

import numpy as np

DIGITS = Path(__file__).parents[2] / "examples" / "data" / "digits.npz"


def digits(smoke: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Pixels 0 .. 16 in float64, and labels; of few rows where that is asked for."""
    with np.load(DIGITS) as data:
        labels = data["labels"].astype(int)
        x = data["images"].astype(float).reshape(len(labels), -1)
    return (x[:200], labels[:200]) if smoke else (x, labels)
