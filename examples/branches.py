"""An image read three ways at once: branches side by side, joined by Concatenate, and a residual block on top.

    python examples/branches.py

Every digit goes whole into one branch, row by row into the second, column by column into the third.  Taken apart, the
branches are layers like any other: the same model with one of them alone is a line, and shows what the others add.
Here that is little, since each of them reads all the pixels.
"""

from pathlib import Path

import numpy as np

from minigrad import (
    SGD,
    Branch,
    Concatenate,
    CrossEntropyLoss,
    Flatten,
    Layer,
    Linear,
    ReLU,
    Residual,
    Sequential,
    Tanh,
    Transpose,
    fit,
)


def main() -> None:
    """Train the whole model, and each branch alone."""
    with np.load(Path(__file__).parent / "data" / "digits.npz") as data:
        images, labels = data["images"].reshape(-1, 8, 8) / 16, data["labels"]
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], labels[order]

    right = []
    for chosen in (["whole"], ["rows"], ["columns"], ["whole", "rows", "columns"]):
        rng = np.random.default_rng(1)
        model = head(Branch(*(branch(name, rng) for name in chosen)), rng)
        right.append(train(model, images, labels))
        print(f"{' + '.join(chosen):<24} {right[-1]:.3f} of 500 new digits")
    print(f"\n{model!r}")
    assert right[-1] > 0.97, right


def branch(name: str, rng: np.random.Generator) -> Layer:
    """32 numbers of an image: of all its pixels, or after one linear unit has gone over its rows or its columns."""
    top = Flatten() >> Linear(64, 32, rng=rng) >> ReLU()
    each_row = Linear(8, 8, rng=rng) >> Tanh()
    return {"whole": top, "rows": each_row >> top, "columns": Transpose(1, 2) >> each_row >> top}[name]


def head(branches: Branch, rng: np.random.Generator) -> Sequential:
    """The branches, joined; a residual block; ten logits."""
    block = Residual(Linear(32, 32, rng=rng) >> Tanh())
    return branches >> Concatenate() >> Linear(None, 32, rng=rng) >> block >> Linear(32, 10, rng=rng)


def train(model: Sequential, images: np.ndarray, labels: np.ndarray) -> float:
    """Descend by mini-batches on 1297 digits; the accuracy on the other 500."""
    cost = model >> CrossEntropyLoss()
    data = images[:1297], labels[:1297]
    fit(cost, data, optimizer=lambda cost: SGD(cost, learning_rate=0.3), epochs=30, rng=3, progress=False)
    return float((model(images[1297:]).argmax(axis=1) == labels[1297:]).mean())


if __name__ == "__main__":
    main()
