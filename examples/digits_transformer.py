"""A small Transformer reads handwritten digits: an image is a sequence of eight rows of eight pixels.

    python examples/digits_transformer.py [--seed SEED]

The last 360 digits of a fixed permutation are held out and looked at once, at the end.  Everything that could be chosen
(widths, learning rate, warping, number of epochs) was chosen by four-fold cross-validation within the other 1437.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from minigrad import (
    AdamW,
    CrossEntropyLoss,
    Flatten,
    LayerNorm,
    LearnedPositionalEncoding,
    Linear,
    Schedule,
    Sequential,
    fit,
    minibatches,
    transformer_encoder_block,
)

EPOCHS, BATCH, WIDTH = 60, 32, 32
LEARNING_RATE, WEIGHT_DECAY, DROPOUT = 3e-3, 0.05, 0.1
FROM_CENTRE = np.arange(8) - 3.5


def transformer(rng: np.random.Generator) -> Sequential:
    """Each row of pixels becomes a token; two blocks let the rows look at one another; a linear unit for each class."""
    blocks = [transformer_encoder_block(WIDTH, 4, 2 * WIDTH, dropout=DROPOUT, rng=rng) for _ in range(2)]
    return Sequential(
        Linear(8, WIDTH, rng=rng),
        LearnedPositionalEncoding(8, WIDTH, rng=rng),
        *blocks,
        LayerNorm(WIDTH),
        Flatten(),
        Linear(8 * WIDTH, 10, rng=rng),
        CrossEntropyLoss(),
    ).astype(np.float32)


def warped(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each image as another hand might have written it: stretched, slanted and moved, by half a pixel or so."""

    def amount(bound: float) -> np.ndarray:
        return rng.uniform(-bound, bound, (len(images), 1))

    rows = interpolation((1 + amount(0.07)) * FROM_CENTRE + amount(0.4))
    slanted = amount(0.18) * FROM_CENTRE + amount(0.6)  # how far each row moves sideways
    columns = interpolation((1 + amount(0.1))[..., np.newaxis] * FROM_CENTRE + slanted[..., np.newaxis])
    return (rows @ (columns @ images[..., np.newaxis])[..., 0]).astype(images.dtype)


def interpolation(places: np.ndarray) -> np.ndarray:
    """(..., 8) places between pixels -> (..., 8, 8) weights of the pixels on either side."""
    return np.maximum(0, 1 - np.abs(places[..., np.newaxis] - FROM_CENTRE))


class UpAndDown(Schedule):
    """The learning rate rises for a hundred steps, and falls to zero in a straight line."""

    each = "step"

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def rate(self, base: float, count: int) -> float:
        return base * min(1, (count + 1) / 100) * (1 - (count + 1) / self.steps)


def main() -> None:
    """Train on 1437 digits, and say how many of the other 360 are read right."""
    parser = argparse.ArgumentParser(description="A small Transformer reads handwritten digits.")
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches, warping and dropout")
    rng = np.random.default_rng(parser.parse_args().seed)
    with np.load(Path(__file__).parent / "data" / "digits.npz") as data:
        images, labels = data["images"].reshape(-1, 8, 8).astype(np.float32) / 16, data["labels"]
    order = np.random.default_rng(0).permutation(len(images))
    train, held_out = order[:-360], order[-360:]

    cost = transformer(rng)
    model = cost[:-1]
    print(model)

    def warped_batches(rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for batch, target in minibatches(images[train], labels[train], batch_size=BATCH, rng=rng):
            yield warped(batch, rng), target

    schedule = UpAndDown(EPOCHS * -(-len(train) // BATCH))
    adamw = AdamW(cost, LEARNING_RATE, betas=(0.9, 0.99), weight_decay=WEIGHT_DECAY, schedule=schedule)
    print(f"{len(adamw.theta)} parameters, {len(train)} digits to train on, {len(held_out)} held out\n")
    fit(cost, warped_batches, optimizer=adamw, epochs=EPOCHS, rng=rng)
    accuracy = (model(images[held_out]).argmax(axis=1) == labels[held_out]).mean()
    print(f"\naccuracy on the {len(held_out)} digits held out: {accuracy:.4f}")
    assert accuracy > 0.98, accuracy


if __name__ == "__main__":
    main()
