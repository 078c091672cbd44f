"""A training run that is interrupted and goes on: the same, to the last bit, as one that was left alone.

    python examples/resume.py

Two nets begin alike.  One trains through; the other is stopped in the middle of its sixth epoch, and goes on from its
checkpoint, in what might be another process.  Then the model is saved, architecture and all, and loaded without a line
of the code that made it.
"""

import tempfile
from pathlib import Path

import numpy as np

from minigrad import (
    EMA,
    AdamW,
    BatchNorm1d,
    Callback,
    Checkpoint,
    CosineAnnealingLR,
    CrossEntropyLoss,
    Dropout,
    History,
    Linear,
    ReLU,
    Run,
    Sequential,
    fit,
    flow,
    load_model,
    save_model,
)

EPOCHS = 12


class PowerCutError(Exception):
    """What ends the first half."""


class PowerCut(Callback):
    """Lets the power fail after 250 steps, between two checkpoints."""

    def after_step(self, run: Run) -> None:
        if run.optimizer.steps == 250:
            raise PowerCutError


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """The share of rows whose largest logit is that of their label."""
    return float((logits.argmax(axis=1) == labels).mean())


def perceptron() -> Sequential:
    """A net with everything that a checkpoint has to remember: running statistics, and a generator that draws."""
    rng = np.random.default_rng(0)
    below = Sequential(Linear(64, 64, bias=False, rng=rng), BatchNorm1d(64), ReLU(), Dropout(0.2, rng=1))
    return below >> Linear(64, 10, rng=rng) >> CrossEntropyLoss()


def train(x: np.ndarray, labels: np.ndarray, **options: object) -> tuple[Sequential, History]:
    """The run, from its beginning or from its checkpoint: the call is the same."""
    cost = perceptron()
    history = fit(
        cost,
        (x[:1437], labels[:1437]),
        optimizer=AdamW(cost, 5e-3, schedule=CosineAnnealingLR(EPOCHS), groups={"*.bias": {"weight_decay": 0.0}}),
        average=EMA(cost, 0.98),
        epochs=EPOCHS,
        rng=2,
        validation=(x[1437:], labels[1437:]),
        metrics={"accuracy": accuracy},
        progress=False,
        **options,  # type: ignore[arg-type]
    )
    return cost, history


def main() -> None:
    """Train twice, compare, save, load."""
    with np.load(Path(__file__).parent / "data" / "digits.npz") as data:
        x, labels = data["images"] / 16, data["labels"].astype(int)
    whole, history = train(x, labels)
    print(f"a run that was left alone\n\n{history!r}\n")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.checkpoint"
        checkpoint = Checkpoint(path, every_steps=20)
        try:
            train(x, labels, checkpoint=checkpoint, callbacks=[PowerCut()])
        except PowerCutError:
            print(f"the power failed after 250 steps; {path.name} has {path.stat().st_size} bytes\n")
        again, second = train(x, labels, checkpoint=checkpoint, resume=True)
        for name, array in whole.parameters().items():
            assert np.array_equal(array, again.parameters()[name]), name
        assert np.array_equal(history.step_cost, second.step_cost)
        print("the run that went on has the same parameters and the same history, in every bit\n")

        save_model(again[:-1], Path(folder) / "digits.model")
        model = load_model(Path(folder) / "digits.model")
        assert np.array_equal(model(x), whole[:-1](x))
        print(f"saved and loaded:\n{model}\n")
    print(flow(whole, x[:200], labels[:200]))
    assert history["accuracy"][-1] > 0.92, history["accuracy"]


if __name__ == "__main__":
    main()
