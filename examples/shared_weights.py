"""Are two digits the same?  One encoder looks at both: its weights stand in two places, their gradients are added.

    python examples/shared_weights.py

`Parallel(encoder, encoder)` takes a pair of images to a pair of codes; a layer written here compares the codes; a logit
says whether the digits agree.  With an encoder for each image, twice the weights, the answer on new pairs is worse.
"""

from pathlib import Path

import numpy as np

from minigrad import SGD, BernoulliNLLLoss, Layer, Linear, Parallel, ReLU, Sequential, minibatches, value_and_gradients
from minigrad.testing import check_layer


class SquaredDifference(Layer):
    """(a - b)^2 of a pair (a, b), entry by entry: da = 2 delta (a - b), db = -da."""

    def forward(self, pair):
        a, b = pair
        return (a - b) ** 2, a - b

    def backward(self, delta, difference):
        da = 2 * delta * difference
        return da, -da


def encoder(rng: np.random.Generator) -> Sequential:
    """64 pixels to a code of 16 numbers; without a last bias, which the difference of two codes takes out again."""
    return Sequential(Linear(64, 64, rng=rng), ReLU(), Linear(64, 16, bias=False, rng=rng))


def pairs_of(labels: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the first and the second image, and whether they show one digit: half of the pairs do."""
    by_digit = [np.flatnonzero(labels == digit) for digit in range(10)]
    first = rng.integers(0, len(labels), count)
    partner = np.array([rng.choice(by_digit[labels[row]]) for row in first])
    anyone = rng.integers(0, len(labels), count)
    second = np.where(rng.random(count) < 0.45, partner, anyone)
    return first, second, (labels[first] == labels[second]).astype(int)


def train(model: Sequential, x: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> None:
    """Descent on new pairs in every epoch."""
    cost = model >> BernoulliNLLLoss()
    sgd = SGD(cost, learning_rate=0.3)
    for epoch in range(30):
        total = 0.0
        first, second, same = pairs_of(labels, 4000, rng)
        for a, b, t in minibatches(first, second, same, batch_size=50, rng=rng):
            value, gradients = value_and_gradients(cost, (x[a], x[b]), t)
            sgd.step(gradients)
            total += value * len(t) / len(same)
        if epoch % 10 == 9:
            print(f"   epoch {epoch + 1:2d}   NLL {total:.3f}")


def main() -> None:
    """Train both models on the same pairs, and ask them about digits that neither has seen."""
    with np.load(Path(__file__).parent / "data" / "digits.npz") as data:
        x, labels = data["images"] / 16, data["labels"]
    order = np.random.default_rng(0).permutation(len(x))
    x, labels = x[order], labels[order]
    a, b, same = pairs_of(labels[1297:], 4000, np.random.default_rng(1))
    held_out = x[1297:]
    print(check_layer(SquaredDifference(), (x[:5], x[5:10])))

    right = {}
    for kind in ("one encoder for both", "an encoder for each"):
        rng = np.random.default_rng(2)
        left = encoder(rng)
        other = left if kind == "one encoder for both" else encoder(rng)
        model = Sequential(Parallel(left, other), SquaredDifference(), Linear(16, 1, rng=rng))
        count = sum(array.size for array in model.parameters().values())
        print(f"\n{kind}: {count} parameters, {len(model.parameters())} arrays")
        train(model, x[:1297], labels[:1297], rng)
        right[kind] = ((model((held_out[a], held_out[b]))[:, 0] > 0) == same).mean()
        print(f"   {right[kind]:.1%} of {len(same)} new pairs answered rightly")
    shared, apart = right.values()
    assert shared > 0.95, shared
    assert shared > apart, (shared, apart)


if __name__ == "__main__":
    main()
