"""fit: train a cost on data."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from minigrad.building import build
from minigrad.checks import kind, require_count, require_flag, require_layer
from minigrad.derivatives.reductions import require_independent_rows
from minigrad.layer import Layer
from minigrad.optim import Adam, Average, Optimizer, ReduceLROnPlateau, Solver
from minigrad.training.checkpoint import Checkpoint
from minigrad.training.data import Arrays, Data, Source, source
from minigrad.training.evaluation import Metrics, require_metrics
from minigrad.training.history import History
from minigrad.training.progress import Silent, shown_by
from minigrad.training.run import Callback, Run
from minigrad.training.stopping import EarlyStopping
from minigrad.training.whole import fit_whole
from minigrad.typing import Seed


def fit(
    cost: Layer,
    data: Data,
    *,
    optimizer: Optimizer | Solver | Callable[[Layer], Optimizer | Solver] | None = None,
    epochs: int | None = None,
    batch_size: int = 32,
    rng: Seed = None,
    shuffle: bool = True,
    validation: Data | None = None,
    metrics: Metrics | None = None,
    early_stopping: EarlyStopping | int | None = None,
    average: Average | None = None,
    callbacks: Sequence[Callback | Callable[[Run], Any]] = (),
    progress: bool | str | Silent = "auto",
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    resume: bool = False,
) -> History:
    """Train the parameters of `cost` in place, by mini-batches, and return what happened as a History.

    data            (x, target) or (x, target, weights) as arrays, x also a tuple of arrays; memory maps may be larger
                    than memory; or an iterable of such batches; or a function rng -> the batches of an epoch.  A cost
                    without a target takes x or (x,); an autoencoder (x, x)
    optimizer       such as SGD(cost, 0.1), or what makes one of the cost; Adam(cost) by default.  A Solver, such as
                    NewtonCG(cost), takes all rows at once, and history.minimum is its certificate
    epochs          how often every row is seen, 10 by default
    rng             orders the rows of each epoch; the same seed gives the same run
    validation      data whose cost, and `metrics`, are taken at the end of every epoch, at inference; see `evaluate`
    early_stopping  ends the run when validation gets no better, and goes back to the best epoch; a number is patience.
                    What it monitors, else the validation cost, else the cost, is what ReduceLROnPlateau looks at
    average         EMA(cost) or SWA(cost), moved on after every step; validation and the end of the run use it
    callbacks       functions called with the Run after every epoch, or Callbacks
    progress        "bar" (tqdm), "lines", False, or "auto": a bar on terminals and in notebooks where tqdm is installed
    checkpoint      a file, or Checkpoint(file, every_steps=...), from which resume=True goes on, bit for bit as if
                    nothing had happened; without such a file it begins anew

    Ctrl-C ends the epoch after the current step, writes the checkpoint, and leaves the best parameters in the cost.
    TrainingError, a FloatingPointError, where a cost or gradient is not finite: it names layer, rule and batch, and the
    last good parameters stay.  TrainingWarning names parameters that never move, and a learning rate that diverges.

    >>> from minigrad import SGD, Linear, LogSoftmax, NLLLoss, Sequential
    >>> x = np.random.default_rng(0).normal(size=(200, 2))
    >>> labels = (x[:, 0] > x[:, 1]).astype(int)
    >>> cost = Sequential(Linear(2, 2, rng=0), LogSoftmax(), NLLLoss())
    >>> history = fit(cost, (x, labels), epochs=20, rng=0, optimizer=SGD(cost, 1.0), progress=False)
    >>> bool(history["cost"][-1] < 0.1 < history["cost"][0])
    True
    """
    require_layer(fit, cost)
    of_training = source(fit, data, batch_size, require_flag(fit, "shuffle", shuffle))
    of_validation = None if validation is None else source(fit, validation, batch_size, shuffle=False)
    _require_every_epoch("data", of_training, epochs)
    _require_every_epoch("validation", of_validation, epochs)
    if of_validation is not None and of_validation.length == 0:
        raise ValueError("fit expects validation data of one batch or more, got none")
    if isinstance(of_training, Arrays):
        _build(cost, of_training)
    generator = np.random.default_rng(rng)
    if isinstance(early_stopping, int | np.integer) and not isinstance(early_stopping, bool):
        early_stopping = EarlyStopping(int(early_stopping))
    if not (early_stopping is None or isinstance(early_stopping, EarlyStopping)):
        raise TypeError(f"fit expects early_stopping to be EarlyStopping(patience), got {kind(early_stopping)}")
    if checkpoint is not None and not isinstance(checkpoint, Checkpoint):
        checkpoint = Checkpoint(checkpoint)
    if checkpoint is not None:
        _require_repeatable(cost, of_training, generator)
        _require_place(checkpoint, resume)
    elif resume:
        raise ValueError("fit expects checkpoint=file with resume=True, got none: the file to go on from")
    told = _callbacks(callbacks)
    made = _optimizer(cost, optimizer)
    if isinstance(made, Solver):
        _require_no_batches(
            made, epochs=epochs, validation=validation, metrics=metrics, early_stopping=early_stopping,
            average=average, callbacks=told or None, checkpoint=checkpoint,
        )  # fmt: skip
        return fit_whole(made, of_training, shown_by(progress))
    if of_validation is not None:
        require_independent_rows("fit, for validation,", cost, training=False)
    run = Run(
        cost,
        made,
        of_training,
        epochs=require_count(fit, "epochs", 10 if epochs is None else epochs),
        rng=generator,
        validation=of_validation,
        metrics=_metrics(cost, metrics, of_validation),
        early_stopping=early_stopping,
        average=_average(cost, average),
        callbacks=told,
        progress=shown_by(progress),
        checkpoint=checkpoint,
    )
    _require_monitors(run)
    if resume:
        run.resume()
    return run.go()


def _require_every_epoch(what: str, data: Source | None, epochs: int | None) -> None:
    if data is not None and data.once and (what == "validation" or epochs != 1):
        raise ValueError(
            f"fit expects {what} that can be read in every epoch, got a generator, which can be read once: "
            "pass a list, or a function that makes it, lambda rng: ..."
        )


def _build(cost: Layer, data: Arrays) -> None:
    """Make the arrays of layers whose widths were left out."""
    try:
        cost.parameters()
    except ValueError:
        x, *_ = next(data.table.in_batches(1))
        build(cost, x)


def _optimizer(cost: Layer, optimizer: Any) -> Optimizer | Solver:
    made = Adam(cost) if optimizer is None else optimizer if isinstance(optimizer, Optimizer | Solver) else None
    if made is None and callable(optimizer):
        made = optimizer(cost)
    if not isinstance(made, Optimizer | Solver):
        raise TypeError(f"fit expects an optimizer such as Adam(cost, 1e-3), got {kind(optimizer)}")
    _require_same(cost, made, "an optimizer")
    return made


def _require_same(cost: Layer, made: Any, what: str) -> None:
    """`made` is of the parameters of `cost` (ValueError)."""
    own, trained = cost.parameters(), made.cost.parameters()
    if [id(array) for array in own.values()] != [id(array) for array in trained.values()]:
        raise ValueError(
            f"fit expects {what} of this cost, got {made!r} of another, with parameters "
            f"{', '.join(trained) or 'none'}: make it of the same cost, {type(made).__name__}(cost, ...)"
        )


def _require_no_batches(solver: Solver, **options: Any) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ValueError(
            f"fit expects no {', '.join(given)} with a solver, which sees all rows in every iteration: "
            f"{type(solver).__name__}(cost, max_iterations=100) bounds it, and evaluate(cost, data) tells what it is "
            "worth afterwards"
        )


def _require_monitors(run: Run) -> None:
    """What is to be watched is there (ValueError)."""
    watched = [name for name in run.entries() if name not in ("learning_rate", "gradient_norm", "seconds")]
    if run.monitor not in watched:
        raise ValueError(
            f"fit expects early stopping to monitor one of {', '.join(watched)}, got {run.monitor!r}: validation= and "
            "metrics= give it more to look at"
        )
    schedule, grows = run.optimizer.schedule, run.best is not None and run.best.rule.mode == "max"
    if isinstance(schedule, ReduceLROnPlateau) and (schedule.mode == "max") != grows:
        raise ValueError(
            f"fit expects ReduceLROnPlateau(mode={'max' if grows else 'min'!r}), got {schedule.mode!r}: it looks at "
            f"what early stopping monitors, here {run.monitor}"
        )


def _metrics(cost: Layer, metrics: Metrics | None, validation: Source | None) -> Metrics:
    if metrics and validation is None:
        raise ValueError("fit expects validation data for metrics, got none: validation=(x, target)")
    return require_metrics(fit, cost, metrics)


def _average(cost: Layer, average: Any) -> Average | None:
    if average is None:
        return None
    if not isinstance(average, Average):
        raise TypeError(f"fit expects average to be EMA(cost) or SWA(cost), got {kind(average)}")
    _require_same(cost, average, "an average")
    return average


def _callbacks(callbacks: Any) -> list[Any]:
    if callable(callbacks) or not isinstance(callbacks, Iterable):
        callbacks = [callbacks]
    found = list(callbacks)
    for callback in found:
        if isinstance(callback, type) or not (callable(callback) or isinstance(callback, Callback)):
            raise TypeError(f"fit expects callbacks to be functions of a run, or Callbacks, got {kind(callback)}")
        if isinstance(callback, Callback) and not {"after_step", "after_epoch"} & _names_of(callback):
            raise TypeError(
                f"fit expects a Callback to have after_step(run) or after_epoch(run), got {kind(callback)} with neither"
            )
    return found


def _names_of(callback: Callback) -> set[str]:
    """What its classes below Callback define."""
    return {name for above in type(callback).__mro__ if above not in (Callback, object) for name in vars(above)}


def _require_place(checkpoint: Checkpoint, resume: bool) -> None:
    """There is a folder for the file, and no file that is not to be replaced (OSError)."""
    if not os.path.isdir(os.path.dirname(checkpoint.path) or "."):
        raise FileNotFoundError(f"fit cannot write the checkpoint {checkpoint.path}: make its folder first")
    if not resume and os.path.exists(checkpoint.path):
        raise FileExistsError(
            f"fit would replace the checkpoint {checkpoint.path}: resume=True goes on from it; to begin anew, "
            "remove it or name another file"
        )


def _require_repeatable(cost: Layer, data: Source, rng: np.random.Generator) -> None:
    """What a checkpoint cannot repeat is refused: batches that are drawn between a layer's draws from one generator."""
    if data.draws_late and any(value is rng for value in cost.state().values()):
        raise ValueError(
            "fit expects rng, from which data(rng) draws, to be another generator than that of a layer, such as "
            "dropout, got one for both: a checkpoint could not repeat the draws; pass rng=another seed"
        )
