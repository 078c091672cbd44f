"""Softmax regression by maximum likelihood, on 1797 handwritten digits.

    python examples/logreg_softmax.py [--picture FILE.png]

The layer cake, its rules checked, descent by mini-batches, the exact minimum of a penalised cost, and why there is no
minimum without the penalty.  With matplotlib installed it also saves a picture.
"""

import argparse
import textwrap
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from minigrad import (
    SGD,
    L2Penalty,
    Linear,
    LogSoftmax,
    NewtonCG,
    NLLLoss,
    Penalized,
    Sequential,
    minibatches,
    value_and_gradients,
)
from minigrad.testing import check_layer

PENALISED_MINIMUM = 17.0323521816  # found by two independent Newton solvers, to a gradient of 2e-12


def main() -> None:
    """Run the six parts, in the order of the module's docstring."""
    parser = argparse.ArgumentParser(description="Softmax regression by maximum likelihood, on handwritten digits.")
    parser.add_argument("--picture", type=Path, default=Path("logreg_softmax.png"), help="where to save the picture")
    picture = parser.parse_args().picture
    start = time.perf_counter()
    with np.load(Path(__file__).parent / "data" / "digits.npz") as data:
        pixels, labels = data["images"].astype(float), data["labels"]
    print(f"{len(pixels)} digits of {pixels.shape[1]} pixels, {len(set(labels.tolist()))} classes")

    show_layer_cake(pixels / 16, labels)
    check_rules_of_all_layers(pixels / 16, labels)
    curve = descend_by_batches(pixels / 16, labels)
    weight = minimise_with_penalty(pixels, labels)
    show_that_there_is_no_maximum(pixels, labels, weight)
    save_picture(curve, weight[:, :-1], picture)
    print(f"\nall done in {time.perf_counter() - start:.1f} s")


def softmax_regression(reduction: str = "mean") -> Sequential:
    """The cost: a linear unit for each class, the softmax, the negative log-likelihood."""
    return Sequential(Linear(64, 10, rng=0), LogSoftmax(), NLLLoss(reduction))


def show_layer_cake(x: np.ndarray, labels: np.ndarray) -> None:
    """Each layer depends only on the one below it; the cost is on top."""
    print("\n1. The layer cake, from the cost on top down to the input\n")
    cost = softmax_regression()
    cake = [f"{'input':<24} z1 {x.shape}"]
    z = x
    for level, layer in enumerate(cost, start=2):
        z = layer(z, labels) if layer is cost[-1] else layer(z)
        parameters = ", ".join(f"{name} {array.shape}" for name, array in layer.parameters().items())
        cake.append(f"{layer!r:<24} z{level} {np.shape(z)!s:<12} {parameters}".rstrip())
    for line in reversed(cake):
        print("  ", line)


def check_rules_of_all_layers(x: np.ndarray, labels: np.ndarray) -> None:
    """Rules 2 and 3 against finite differences of rule 1, before anything rests on them."""
    print("\n2. Every rule against finite differences, on three digits\n")
    cost = softmax_regression()
    z, t = x[:3], labels[:3]
    for layer in cost:
        arguments = (t,) if layer is cost[-1] else ()
        print(check_layer(layer, z, *arguments))
        z = layer(z, *arguments)
    print(check_layer(cost, x[:3], t))


def descend_by_batches(x: np.ndarray, labels: np.ndarray) -> list[tuple[int, float, float]]:
    """Stochastic gradient descent on three quarters; the rest says how good it is."""
    print("\n3. Descent by mini-batches of 32; NLL is the negative log-likelihood\n")
    rng = np.random.default_rng(0)
    order = rng.permutation(len(x))
    train, held_out = order[: 3 * len(x) // 4], order[3 * len(x) // 4 :]
    cost = softmax_regression()
    model = cost[:-1]
    sgd = SGD(cost, learning_rate=0.3)
    curve = []
    print("   epoch   NLL per digit: training   held out   accuracy held out")
    for epoch in range(41):
        if epoch:
            for batch, target in minibatches(x[train], labels[train], batch_size=32, rng=rng):
                _, gradients = value_and_gradients(cost, batch, target)
                sgd.step(gradients)
        curve.append((epoch, float(cost(x[train], labels[train])), float(cost(x[held_out], labels[held_out]))))
        if epoch % 5 == 0:
            accuracy = (model(x[held_out]).argmax(axis=1) == labels[held_out]).mean()
            print(f"   {epoch:5d} {curve[-1][1]:25.4f} {curve[-1][2]:10.4f} {accuracy:19.3f}", flush=True)
    assert accuracy >= 0.95, accuracy
    return curve


def minimise_with_penalty(pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Minimise sum-NLL + |weight|^2 / 2, strictly convex in the weights: one minimum.  The (10, 65) of it."""
    print("\n4. The minimum of  sum(NLL) + 0.5 * sum(weight^2)  over all digits\n")
    cost = Penalized(softmax_regression("sum"), L2Penalty(1.0, "*.weight"))

    def progress(iteration: int, value: float, gradient_norm: float) -> None:
        print(f"   iteration {iteration:2d}   cost {value:16.10f}   largest derivative {gradient_norm:.1e}", flush=True)

    minimum = NewtonCG(cost, tolerance=1e-6).solve(pixels, labels, callback=progress)
    print("\n" + textwrap.fill(str(minimum), 110, initial_indent="   ", subsequent_indent="   "))
    relative = minimum.value / PENALISED_MINIMUM - 1
    print(f"   cost {minimum.value:.10f}, known minimum {PENALISED_MINIMUM}, relative difference {relative:.1e}")
    assert minimum.converged
    assert abs(relative) <= 1e-8, relative
    parameters = cost.parameters()
    return np.column_stack([parameters["0.weight"], parameters["0.bias"]])


def show_that_there_is_no_maximum(pixels: np.ndarray, labels: np.ndarray, weight: np.ndarray) -> None:
    """A W that puts every digit in its class is a direction in which the likelihood rises without end."""
    print("\n5. Without the penalty there is no finite maximum-likelihood estimate\n")
    x = np.column_stack([pixels, np.ones(len(pixels))])
    scores = x @ weight.T
    own = scores[np.arange(len(x)), labels]
    scores[np.arange(len(x)), labels] = -np.inf
    margin = (own - scores.max(axis=1)).min()
    print(f"   The W just found gives each of the {len(x)} digits its highest score in its own class,")
    print(f"   by at least {margin:.4f}: the classes are separated. Then the larger c is, the better c W fits:\n")
    print("       c    NLL of c W    bound 9 N e^(-c margin)")
    assert margin > 0
    cost = Sequential(Linear(65, 10, bias=False), LogSoftmax(), NLLLoss("sum"))
    values = []
    for c in (1, 2, 5, 10, 20, 50, 100, 200):
        values.append(float(cost.with_parameters({"0.weight": c * weight})(x, labels)))
        print(f"   {c:5d}    {values[-1]:10.3e}    {9 * len(x) * np.exp(-c * margin):10.3e}")
    assert all(later < earlier for earlier, later in pairwise(values))
    print("\n   The negative log-likelihood falls towards 0 and never gets there: no finite W is the maximum, and")
    print("   a program that prints one prints the point where it stopped. The penalty, or more data, makes one.")


def save_picture(curve: list[tuple[int, float, float]], weight: np.ndarray, path: Path) -> None:
    """The weights of each class as images, and the cost curve."""
    print("\n6. The picture\n")
    try:
        import matplotlib as mpl
    except ImportError:
        print("   matplotlib is not installed. After `pip install matplotlib`, into the environment of this Python,")
        print("   this saves a picture of the weights of each class and of the cost curve.")
        return
    mpl.use("agg")
    import matplotlib.pyplot as plt

    from minigrad.pictures import training_curves, weight_images

    figure = plt.figure(figsize=(9, 9), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=(1.1, 1))
    weight_images(weight, (8, 8), ax=upper.subplots())
    _, training, held_out = zip(*curve[1:], strict=True)
    training_curves({"cost": np.array(training), "validation_cost": np.array(held_out)}, ax=lower.subplots())
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(f"   saved {path}")


if __name__ == "__main__":
    main()
