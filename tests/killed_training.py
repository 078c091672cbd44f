"""Training that is killed again and again, and goes on each time: a program of its own, since it forks.

    python tests/killed_training.py DIRECTORY KILLS

Children train with a checkpoint after every step.  The parent kills them at random moments; others kill themselves in
the middle of writing the file.  What remains is always a whole checkpoint, and the run that comes to its end has the
parameters, bit for bit, of one that was never interrupted.
"""

import hashlib
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from minigrad import (
    EMA,
    AdamW,
    BatchNorm1d,
    Checkpoint,
    CosineAnnealingWarmRestarts,
    CrossEntropyLoss,
    Dropout,
    EarlyStopping,
    Linear,
    ReLU,
    Sequential,
    fit,
    minibatches,
)
from minigrad.saving import load_arrays

X = np.random.default_rng(1).normal(size=(90, 6))
LABELS = (X[:, 0] * X[:, 1] > 0).astype(int)


def noisy_batches(rng):
    for x, labels in minibatches(X[:60], LABELS[:60], batch_size=12, rng=rng):
        yield x + rng.normal(scale=0.1, size=x.shape), labels


def train(path: Path | None) -> str:
    """The digest of everything that a run of 8 epochs leaves behind."""
    rng = np.random.default_rng(2)
    cost = Sequential(
        Linear(6, 16, rng=rng), BatchNorm1d(16), ReLU(), Dropout(0.2, rng=7), Linear(16, 2, rng=rng), CrossEntropyLoss()
    )
    schedule = CosineAnnealingWarmRestarts(7, each="step")
    optimizer = AdamW(cost, 1e-2, schedule=schedule, clip_norm=1.0, groups={"*.bias": {"weight_decay": 0.0}})
    history = fit(
        cost,
        noisy_batches,
        optimizer=optimizer,
        epochs=8,
        rng=3,
        validation=(X[60:], LABELS[60:]),
        metrics={"accuracy": lambda z, t: (z.argmax(axis=1) == t).mean()},
        early_stopping=EarlyStopping(6, monitor="accuracy", mode="max"),
        average=EMA(cost, 0.9),
        progress=False,
        checkpoint=None if path is None else Checkpoint(path, every_steps=1),
        resume=path is not None,
    )
    digest = hashlib.sha256(history.step_cost.tobytes())
    for name in sorted(set(history) - {"seconds"}):
        digest.update(history[name].tobytes())
    for array in {**cost.parameters(), **cost.state()}.values():
        if isinstance(array, np.ndarray):
            digest.update(array.tobytes())
    digest.update(repr(optimizer.state()[1]).encode())
    return digest.hexdigest()


def die_while_writing(writes: int, bytes_of_last: float) -> None:
    """Have this process killed in its `writes`-th call of os.write, after a part of the bytes."""
    real, count = os.write, 0

    def write(descriptor: int, data: bytes) -> int:
        nonlocal count
        count += 1
        if count >= writes:
            real(descriptor, bytes(data)[: int(bytes_of_last * len(data))])
            os.kill(os.getpid(), signal.SIGKILL)
        return real(descriptor, data)

    os.write = write


def child(path: Path, result: Path, seed: int) -> int:
    """Fork a process that trains, and perhaps kills itself; its number."""
    pid = os.fork()
    if pid:
        return pid
    rng = np.random.default_rng(seed)
    if seed % 2:
        die_while_writing(int(rng.integers(1, 200)), rng.random())
    result.write_text(train(path))
    os._exit(0)


def main(directory: Path, kills: int) -> None:
    """Kill and go on, until so many were killed; print what was seen."""
    expected = train(None)
    path, result = directory / "run.checkpoint", directory / "result"
    rng = np.random.default_rng(4)
    killed = killed_in_write = finished = whole = 0
    seed = 0
    while killed < kills or not finished:
        seed += 1
        pid = child(path, result, seed)
        if seed % 2 == 0 and killed < kills:
            time.sleep(rng.uniform(0, 0.12))
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL, status
            killed += 1
            killed_in_write += seed % 2
        else:
            assert os.WEXITSTATUS(status) == 0, f"a child failed with status {status}"
            got = result.read_text()
            assert got == expected, "the run that was killed ended with other parameters"
            finished += 1
            path.unlink()
        if path.exists():
            load_arrays(path, kind="checkpoint")  # raises unless it is whole
            whole += 1
    print(f"killed {killed}, of them {killed_in_write} while writing; whole {whole}; finished the same {finished}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
