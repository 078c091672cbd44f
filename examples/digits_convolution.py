"""A small convolutional net on the 8x8 digits, as images: above 98 % on digits that it has not seen.

    python examples/digits_convolution.py

Every training image is shifted by up to a pixel each time it is used, since a digit stays what it is when it moves.
All choices were made on a part of the training digits; the held-out digits are looked at once, at the end.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from minigrad import (
    SGD,
    Conv2d,
    CosineAnnealingLR,
    CrossEntropyLoss,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
    build,
    fit,
    minibatches,
)

EPOCHS, BATCH, LEARNING_RATE = 30, 32, 0.4


def convolutional_net(rng: np.random.Generator) -> Sequential:
    """16 and 32 maps of 3x3, a pool of 2x2, ten logits: 10 thousand parameters.  The last width is left out."""
    return Sequential(
        Conv2d(1, 16, 3, padding=1, rng=rng, dtype=np.float32),
        ReLU(),
        Conv2d(16, 32, 3, padding=1, rng=rng, dtype=np.float32),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Dropout(0.3, rng=rng),
        Linear(None, 10, rng=rng, dtype=np.float32),
    )


def shifted(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each image moved by -1, 0 or 1 pixels down and to the right; zeros come in at the border."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    down, right = rng.integers(0, 3, (2, len(images), 1, 1))
    rows, columns = np.arange(8)[:, np.newaxis] + down, np.arange(8) + right
    return padded[np.arange(len(images))[:, np.newaxis, np.newaxis], 0, rows, columns][:, np.newaxis]


def train(model: Sequential, images: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> None:
    """Descent by mini-batches, with a rate that falls to a tenth along a cosine."""
    cost = model >> CrossEntropyLoss()

    def shifted_batches(rng: np.random.Generator) -> Iterator[tuple[np.ndarray, ...]]:
        return minibatches(shifted(images, rng), labels, batch_size=BATCH, rng=rng)

    build(cost, images[:1])
    sgd = SGD(cost, LEARNING_RATE, schedule=CosineAnnealingLR(EPOCHS, LEARNING_RATE / 10))
    fit(cost, shifted_batches, optimizer=sgd, epochs=EPOCHS, rng=rng)


def accuracy(model: Sequential, images: np.ndarray, labels: np.ndarray) -> float:
    """The share of images whose largest logit is that of their label; dropout is off."""
    return float((model(images).argmax(axis=1) == labels).mean())


def main(seed: int = 0) -> float:
    """Train on 1437 digits, and count on the other 360."""
    with np.load(Path(__file__).parent / "data" / "digits.npz") as data:
        images, labels = (data["images"] / 16).astype(np.float32).reshape(-1, 1, 8, 8), data["labels"]
    order = np.random.default_rng(0).permutation(len(images))
    train_rows, held_out = order[:1437], order[1437:]
    rng = np.random.default_rng(seed)
    model = convolutional_net(rng)
    begin = time.perf_counter()
    train(model, images[train_rows], labels[train_rows], rng)
    right = accuracy(model, images[held_out], labels[held_out])
    print(f"\n{model!r}\n{right:.2%} of {len(held_out)} held-out digits, {time.perf_counter() - begin:.0f} s")
    return right


if __name__ == "__main__":
    assert main() > 0.98
