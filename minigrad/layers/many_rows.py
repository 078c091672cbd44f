"""What is said of rows where z has more axes than a batch and its features."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.typing import Formulas


def with_rows(formulas: Formulas | None, z: Any, features: int = 1) -> Formulas | None:
    """`formulas`, which say what the rows n of this z are, where its rows have `features` axes and it has many."""
    if formulas is None or np.ndim(z[0] if type(z) is tuple else z) <= 1 + features:
        return formulas
    said = "the rows n are those of all axes but the last" if features else "n counts all entries of z"
    return formulas._replace(where="; ".join(filter(None, (formulas.where, said))))
