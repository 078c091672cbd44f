"""A small Transformer reads handwritten digits: an image is a sequence of eight rows of eight pixels.

    python examples/digits_transformer.py [--seed SEED]

The last 360 digits of a fixed permutation are held out and looked at once, at the end.  Everything that could be chosen
(widths, learning rate, warping, number of epochs) was chosen by four-fold cross-validation within the other 1437.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from minigrad import (
    CrossEntropyLoss,
    FlatParameters,
    Flatten,
    LayerNorm,
    LearnedPositionalEncoding,
    Linear,
    Sequential,
    minibatches,
    transformer_encoder_block,
    value_and_gradients,
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
    theta = FlatParameters(cost)
    print(model)
    print(f"{len(theta)} parameters, {len(train)} digits to train on, {len(held_out)} held out\n")
    # Adam: steps as long as the gradients are steady, whatever their size; Kingma and Ba, 2015.  The learning rate
    # falls to zero in a straight line, and weights decay in proportion to it; Loshchilov and Hutter, 2019.
    mean, square = np.zeros_like(theta.vector), np.zeros_like(theta.vector)
    step, steps = 0, EPOCHS * -(-len(train) // BATCH)
    start = time.perf_counter()
    for epoch in range(1, EPOCHS + 1):
        total = 0.0
        for batch, target in minibatches(images[train], labels[train], batch_size=BATCH, rng=rng):
            value, gradients = value_and_gradients(cost, warped(batch, rng), target)
            gradient = theta.flatten(gradients)
            step += 1
            mean += 0.1 * (gradient - mean)
            square += 0.01 * (gradient**2 - square)
            direction = mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.99**step)) + 1e-8)
            rate = LEARNING_RATE * min(1, step / 100) * (1 - step / steps)
            theta.vector -= rate * (direction + WEIGHT_DECAY * theta.vector)
            total += value * len(batch)
        if epoch % 10 == 0:
            seconds = time.perf_counter() - start
            print(f"epoch {epoch:3d}   NLL of warped digits {total / len(train):.4f}   {seconds:5.1f} s", flush=True)
    accuracy = (model(images[held_out]).argmax(axis=1) == labels[held_out]).mean()
    print(f"\naccuracy on the {len(held_out)} digits held out: {accuracy:.4f}")
    assert accuracy > 0.98, accuracy


if __name__ == "__main__":
    main()
