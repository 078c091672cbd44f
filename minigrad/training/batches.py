"""Mini-batches: the data in random parts, checked once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minigrad.checks import kind, require_finite
from minigrad.typing import Array, Seed


def minibatches(x: Array, *targets: Array, batch_size: int, rng: Seed = None) -> Iterator[tuple[Array, ...]]:
    """One epoch: (x, *targets) in batches of `batch_size` rows, each row once, in an order drawn from `rng`.

    The last batch is smaller where the size does not divide.  The data are checked before the first batch: TypeError
    unless x is an array, ValueError where x or a target of a floating type holds NaN or infinity, or the
    lengths disagree.

    >>> x, labels = np.arange(10.0).reshape(5, 2), np.arange(5)
    >>> [batch.shape for batch, target in minibatches(x, labels, batch_size=2, rng=0)]
    [(2, 2), (2, 2), (1, 2)]
    """
    who = minibatches.__name__
    if not (type(x) is np.ndarray or isinstance(x, np.memmap)):
        several = "give several inputs one by one, minibatches(a, b, target, batch_size=...)"
        fix = several if isinstance(x, tuple) else "np.asarray(x) makes one"
        raise TypeError(f"{who} expects x to be a NumPy array, got {kind(x)}: {fix}")
    if x.dtype.kind in "fc":
        require_finite(minibatches, x, "x")
    targets = tuple(np.asarray(target) for target in targets)
    for i, target in enumerate(targets):
        if len(target) != len(x):
            raise ValueError(f"{who} expects one target for each of {len(x)} rows of x, got {len(target)}")
        if target.dtype.kind in "fc":
            require_finite(minibatches, target, f"target {i}")
    if not isinstance(batch_size, int | np.integer) or isinstance(batch_size, bool) or batch_size < 1:
        raise ValueError(f"{who} expects a positive integer batch_size, got {batch_size!r}")
    order = np.random.default_rng(rng).permutation(len(x))
    # A generator of its own, so that the checks above run at the call and not at the first batch.
    rows = (order[start : start + batch_size] for start in range(0, len(x), batch_size))
    return ((x[row], *(target[row] for target in targets)) for row in rows)
