"""Checkpoints of a run: going on from one is as if nothing had happened, and from a wrong one nothing happens."""

import copy
import os
import re
import signal
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from minigrad import (
    EMA,
    SGD,
    SWA,
    Adam,
    BatchNorm1d,
    Callback,
    Checkpoint,
    CrossEntropyLoss,
    Dropout,
    EarlyStopping,
    ExponentialLR,
    L2Penalty,
    Linear,
    NewtonCG,
    Penalized,
    ReduceLROnPlateau,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
    TrainingWarning,
    fit,
    minibatches,
)
from minigrad.saving import FileError, load_arrays, load_parameters, save_arrays
from minigrad.training.description import checksum
from minigrad.training.progress import Silent

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
T = (X[:, 0] > X[:, 1]).astype(int)


@pytest.fixture(autouse=True)
def ctrl_c():
    """As in a terminal, also where the tests run in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press_ctrl_c(*_):
    os.kill(os.getpid(), signal.SIGINT)


def model(seed=0):
    rng = np.random.default_rng(seed)
    return Sequential(
        Linear(3, 5, rng=rng), BatchNorm1d(5), Tanh(), Dropout(0.3, rng=rng), Linear(5, 2, rng=rng), CrossEntropyLoss()
    )


def everything(cost, optimizer, history):
    """All that a run leaves, but the time it took."""
    arrays = {**cost.parameters(), **{n: v for n, v in cost.state().items() if isinstance(v, np.ndarray)}}
    arrays |= {f"optimizer {name}": vector for name, vector in optimizer.vectors.items()}
    arrays |= {f"history {name}": history[name] for name in history if name != "seconds"}
    return arrays | {"steps": history.step_cost, "draw": np.asarray(cost[3].rng.random(3))}


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


OPTIMIZERS = {
    "sgd": lambda cost: SGD(cost, 0.1, momentum=0.9),
    "adam": lambda cost: Adam(cost, 0.02, schedule=ExponentialLR(0.9)),
    "plateau": lambda cost: Adam(cost, 0.05, amsgrad=True, schedule=ReduceLROnPlateau(patience=0)),
}
AVERAGES = {"none": lambda cost: None, "ema": lambda cost: EMA(cost, 0.8), "swa": SWA}


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("at", [1, 7, 10, 23])
def test_a_run_that_goes_on_is_the_run_that_was_never_interrupted(tmp_path, optimizer, average, at):
    def train(cost, **more):
        made = OPTIMIZERS[optimizer](cost)
        history = fit(
            cost,
            (X[:30], T[:30]),
            optimizer=made,
            epochs=5,
            batch_size=6,
            rng=1,
            validation=(X[30:], T[30:]),
            average=AVERAGES[average](cost),
            progress=False,
            **more,
        )
        return everything(cost, made, history)

    whole = train(model())

    class PowerCutError(Exception):
        pass

    class Cut(Callback):
        def after_step(self, run):
            if run.optimizer.steps == at:
                raise PowerCutError

    path = tmp_path / "run"
    with pytest.raises(PowerCutError):
        train(model(), checkpoint=Checkpoint(path, every_steps=3), callbacks=[Cut()])
    assert path.exists() == (at > 3)
    # Another start: all of it has to come from the file.
    again = train(model(seed=9 if path.exists() else 0), checkpoint=Checkpoint(path, every_steps=3), resume=True)
    assert_same_bits(whole, again)
    # A run that is over is over: going on gives the same once more.
    assert_same_bits(whole, train(model(seed=5), checkpoint=path, resume=True))


def test_more_epochs_go_on_where_fewer_ended(tmp_path):
    def train(epochs, seed, **more):
        cost = model(seed)
        adam = Adam(cost, 0.02)
        return everything(cost, adam, fit(cost, (X, T), optimizer=adam, epochs=epochs, rng=3, progress=False, **more))

    whole = train(6, 0)
    train(2, 0, checkpoint=tmp_path / "run")
    assert_same_bits(whole, train(6, 4, checkpoint=tmp_path / "run", resume=True))


def test_batches_that_a_function_draws_are_drawn_again(tmp_path):
    def noisy(rng):
        for x, t in minibatches(X, T, batch_size=8, rng=rng):
            yield x + rng.normal(size=x.shape), t

    def train(seed, stop_at=None, **more):
        class Cut(Callback):
            def after_step(self, run):
                if run.optimizer.steps == stop_at:
                    raise EOFError

        cost = model(seed)
        adam = Adam(cost, 0.02)
        history = fit(cost, noisy, optimizer=adam, epochs=3, rng=3, progress=False, callbacks=[Cut()], **more)
        return everything(cost, adam, history)

    whole = train(0)
    checkpoint = Checkpoint(tmp_path / "run", every_steps=1)
    with pytest.raises(EOFError):
        train(0, stop_at=8, checkpoint=checkpoint)
    assert_same_bits(whole, train(1, checkpoint=checkpoint, resume=True))


def test_one_generator_for_drawn_batches_and_dropout_is_refused_with_a_checkpoint(tmp_path):
    cost = model()
    shared = cost[3].rng
    with pytest.raises(ValueError, match="another generator than that of a layer, such as dropout"):
        fit(cost, lambda rng: [(X, T)], rng=shared, checkpoint=tmp_path / "run")
    # Of arrays the order is drawn once an epoch, which can be repeated.
    fit(cost, (X, T), rng=shared, epochs=1, checkpoint=tmp_path / "run", progress=False)


def test_ctrl_c_writes_a_checkpoint_in_mid_epoch_from_which_the_run_goes_on(tmp_path):
    class CtrlC(Callback):
        def after_step(self, run):
            if run.optimizer.steps == 12:
                os.kill(os.getpid(), signal.SIGINT)

    def train(seed, **more):
        cost = model(seed)
        adam = Adam(cost, 0.02)
        history = fit(
            cost, (X[:30], T[:30]), optimizer=adam, epochs=5, batch_size=6, rng=1, validation=(X[30:], T[30:]),
            progress=False, **more,
        )  # fmt: skip
        return cost, adam, history

    whole = everything(*train(0))
    cost, adam, history = train(0, callbacks=[CtrlC()], checkpoint=tmp_path / "run")
    assert adam.steps == 12
    assert history.stopped.startswith("stopped by Ctrl-C in epoch 3; the parameters are those of epoch ")
    assert history.epochs == 3
    assert history["validation_cost"].min() == pytest.approx(float(cost(X[30:], T[30:])), rel=1e-12)
    position = load_arrays(tmp_path / "run", kind="checkpoint")[1]["position"]
    assert (position["epoch"], position["step"]) == (2, 2)
    assert_same_bits(whole, everything(*train(4, checkpoint=tmp_path / "run", resume=True)))


def test_a_second_ctrl_c_interrupts_at_once(tmp_path):
    class Impatient(Callback):
        def after_step(self, run):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(model(), (X, T), callbacks=[Impatient()], progress=False)
    assert signal.getsignal(signal.SIGINT) is handler


def test_an_existing_checkpoint_is_not_replaced_unasked(tmp_path):
    path = tmp_path / "run"
    fit(model(), (X, T), epochs=1, checkpoint=path, progress=False)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"resume=True goes on from it; to begin anew, remove it"):
        fit(model(), (X, T), epochs=1, checkpoint=path, progress=False)
    assert path.read_bytes() == before


def test_resume_needs_a_file():
    with pytest.raises(ValueError, match="expects checkpoint=file with resume=True"):
        fit(model(), (X, T), resume=True)


WRONG = {
    "a wider model": (
        lambda: (Sequential(Linear(3, 4), Tanh(), Linear(4, 2), CrossEntropyLoss()), {}),
        "a run that had cost.0.out_features 5, here 4",
    ),
    "another optimizer": (lambda: (model(), {"optimizer": SGD}), "optimizer"),
    "another rate": (lambda: (model(), {"rate": 0.5}), "learning_rate 0.02, here 0.5"),
    "other batches": (lambda: (model(), {"batch_size": 5}), "data.batch_size 8, here 5"),
    "fewer rows": (lambda: (model(), {"data": (X[:-1], T[:-1])}), "data.arrays.0.shape [40, 3], here [39, 3]"),
    "other numbers": (lambda: (model(), {"data": (2 * X, T)}), "data.arrays.0.checksum of some rows"),
    "another activation": (
        lambda: (model()[:2] >> Sigmoid() >> model()[3:], {}),
        "cost.2.class 'Tanh', here 'Sigmoid'",
    ),
    "a schedule": (lambda: (model(), {"schedule": True}), "had schedule None, here"),
    "fewer epochs": (lambda: (model(), {"epochs": 1}), "to have 1 epochs or fewer, got 2 begun"),
    "an average": (lambda: (model(), {"average": True}), "average"),
    "early stopping": (
        lambda: (model(), {"early_stopping": EarlyStopping(2), "validation": (X, T)}),
        "early_stopping",
    ),
    "another kind of generator": (
        lambda: (model(), {"rng": np.random.Generator(np.random.MT19937(0))}),
        "rng",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_checkpoint_of_another_run_is_refused_and_nothing_changes(tmp_path, what):
    path = tmp_path / "run"
    cost = model()
    fit(cost, (X, T), optimizer=Adam(cost, 0.02), epochs=2, batch_size=8, rng=0, checkpoint=path, progress=False)
    make, field = WRONG[what]
    cost, changes = make()
    schedule = ExponentialLR(0.5) if changes.pop("schedule", False) else None
    optimizer = changes.pop("optimizer", Adam)(cost, changes.pop("rate", 0.02), schedule=schedule)
    if changes.pop("average", False):
        changes["average"] = EMA(cost)
    data = changes.pop("data", (X, T))
    before = {name: array.copy() for name, array in cost.parameters().items()}
    draws = [
        repr(value.bit_generator.state) for value in cost.state().values() if isinstance(value, np.random.Generator)
    ]
    options = {"batch_size": 8, "rng": 0, "epochs": 3, "progress": False, **changes}
    with pytest.raises(FileError, match=re.escape(field)) as caught:
        fit(cost, data, optimizer=optimizer, checkpoint=path, resume=True, **options)
    assert str(path) in str(caught.value)
    for name, array in cost.parameters().items():
        np.testing.assert_array_equal(array, before[name])
    after = [
        repr(value.bit_generator.state) for value in cost.state().values() if isinstance(value, np.random.Generator)
    ]
    assert draws == after
    assert optimizer.steps == 0


def states_of_generators(cost):
    generators = (value for value in cost.state().values() if isinstance(value, np.random.Generator))
    return [repr(rng.bit_generator.state) for rng in generators]


def every_place(record, place=()):
    """The places of all entries of a record, however deep."""
    for key, value in record.items():
        yield (*place, key)
        if isinstance(value, dict):
            yield from every_place(value, (*place, key))


def test_a_checkpoint_that_lacks_something_says_what(tmp_path):
    """Every entry taken out in turn, in a file whose checksums are right: an error, and nothing changed."""
    path, broken = tmp_path / "run", tmp_path / "broken"

    def train(cost, **more):
        return fit(
            cost, (X, T), optimizer=Adam(cost, 0.02), epochs=2, rng=0, validation=(X, T), early_stopping=3,
            average=EMA(cost), progress=False, **more,
        )  # fmt: skip

    train(model(), checkpoint=path)
    arrays, record = load_arrays(path, kind="checkpoint")
    places = list(every_place(record))
    assert len(places) > 40
    for place in places:
        partial = copy.deepcopy(record)
        inner = partial
        for key in place[:-1]:
            inner = inner[key]
        del inner[place[-1]]
        save_arrays(broken, arrays, partial, kind="checkpoint")
        cost = model()
        before = {name: array.copy() for name, array in cost.parameters().items()}
        with pytest.raises(FileError) as caught:
            train(cost, checkpoint=broken, resume=True)
        assert str(broken) in str(caught.value)
        for name, array in cost.parameters().items():
            np.testing.assert_array_equal(array, before[name], err_msg=str(place))
    for name in arrays:
        save_arrays(broken, {n: a for n, a in arrays.items() if n != name}, record, kind="checkpoint")
        cost = model()
        before = {n: array.copy() for n, array in cost.parameters().items()}
        with pytest.raises(FileError):
            train(cost, checkpoint=broken, resume=True)
        for n, array in cost.parameters().items():
            np.testing.assert_array_equal(array, before[n], err_msg=name)


def test_a_checkpoint_serves_as_a_file_of_parameters(tmp_path):
    cost = model()
    fit(cost, (X, T), epochs=2, checkpoint=tmp_path / "run", progress=False)
    other = model(seed=8)
    load_parameters(other, tmp_path / "run")
    np.testing.assert_array_equal(other(X, T), cost(X, T))


def test_training_that_is_killed_fifty_times_ends_the_same(tmp_path):
    run = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "killed_training.py"), str(tmp_path), "50"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    killed, in_write, whole, finished = map(int, re.findall(r"\d+", run.stdout))
    assert killed == 50
    assert in_write >= 15
    assert whole >= 15
    assert finished >= 1


@pytest.mark.parametrize("when", ["metric", "callback"])
@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_ctrl_c_between_epochs_writes_the_checkpoint_too(tmp_path, when, epoch):
    def train(seed, press=False, **more):
        pressing = press
        count = 0

        def look(*_):
            nonlocal count
            count += 1
            if pressing and count == epoch:
                press_ctrl_c()
            return 0.0

        told = {"metrics": {"m": look if when == "metric" else lambda *_: 0.0}}
        told |= {"callbacks": [look if when == "callback" else lambda run: None]}
        cost = model(seed)
        adam = Adam(cost, 0.02)
        history = fit(cost, (X, T), optimizer=adam, epochs=3, rng=1, validation=(X, T), progress=False, **told, **more)
        return cost, adam, history

    whole = everything(*train(0))
    history = train(0, press=True, checkpoint=tmp_path / "run")[2]
    assert history.epochs == epoch
    # After the last epoch there is nothing left to stop.
    assert history.stopped.startswith("stopped by Ctrl-C" if epoch < 3 else "all 3 epochs are done")
    assert load_arrays(tmp_path / "run", kind="checkpoint")[1]["position"]["epoch"] == epoch
    assert_same_bits(whole, everything(*train(4, checkpoint=tmp_path / "run", resume=True)))


def test_ctrl_c_while_the_last_checkpoint_is_written_changes_nothing(tmp_path):
    class Pressed(Checkpoint):
        def write(self, run):
            super().write(run)
            if run.epoch == 3:
                press_ctrl_c()

    def train(**more):
        cost = model()
        adam = Adam(cost, 0.2)
        return everything(
            cost, adam, fit(cost, (X, T), optimizer=adam, epochs=3, rng=1, validation=(X, T), progress=False, **more)
        )

    assert_same_bits(train(), train(checkpoint=Pressed(tmp_path / "run")))


def test_a_piece_of_an_epoch_is_no_match_for_whole_ones():
    class CtrlC(Callback):
        def after_step(self, run):
            if run.optimizer.steps == 11:
                press_ctrl_c()

    cost = model()
    history = fit(
        cost, (X, T), optimizer=SGD(cost, 1e-6), epochs=5, batch_size=8, rng=1, callbacks=[CtrlC()], progress=False,
        early_stopping=EarlyStopping(9, monitor="cost"),
    )  # fmt: skip
    assert history.epochs == 3
    assert history.best_epoch in (1, 2)


def test_ctrl_c_in_a_solver_keeps_the_best():
    cost = Penalized(Sequential(Linear(3, 2, rng=0), CrossEntropyLoss("sum")), L2Penalty(1.0, "*.weight"))
    before = float(cost(X, T))

    def progress(iteration, steps, entries):
        if iteration == 2:
            press_ctrl_c()

    silent = Silent()
    silent.epoch = progress
    history = fit(cost, (X, T), optimizer=NewtonCG(cost, tolerance=1e-12), progress=silent)
    assert history.stopped == "stopped by Ctrl-C after 2 iterations; the parameters are the best so far"
    assert float(cost(X, T)) == pytest.approx(history["cost"][-1], rel=1e-12)
    assert history["cost"][-1] < before


def test_a_handler_of_somebody_else_stays():
    def own(number, frame):
        raise AssertionError

    before = signal.signal(signal.SIGINT, own)
    try:
        seen = []
        fit(
            model(),
            (X, T),
            epochs=1,
            progress=False,
            callbacks=lambda run: seen.append(signal.getsignal(signal.SIGINT)),
        )
        assert seen == [own]
    finally:
        signal.signal(signal.SIGINT, before)


def test_it_trains_in_a_thread():
    done = []
    thread = threading.Thread(target=lambda: done.append(fit(model(), (X, T), epochs=1, progress=False)))
    thread.start()
    thread.join()
    assert done[0].epochs == 1


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ({"every_steps": 4}, [4, 5, 8, 10, 12, 15]),
        ({"every_epochs": 2}, [10, 15]),
        ({"every_epochs": None}, [15]),
        ({"every_epochs": None, "every_steps": 7}, [7, 14, 15]),
        ({"every_epochs": None, "every_seconds": 1e-9}, [*range(1, 16), 15]),
        ({"every_epochs": None, "every_seconds": 1e9}, [15]),
    ],
)
def test_checkpoints_are_written_when_they_are_due(tmp_path, options, written):
    seen = []

    class Counted(Checkpoint):
        def write(self, run):
            seen.append(run.optimizer.steps)
            super().write(run)

    fit(model(), (X, T), epochs=3, batch_size=8, rng=0, checkpoint=Counted(tmp_path / "run", **options), progress=False)
    assert seen == written


def test_what_a_callback_stops_goes_on_later_and_early_stopping_does_not(tmp_path):
    def train(epochs=6, **more):
        cost = model()
        return fit(cost, (X, T), epochs=epochs, rng=0, progress=False, resume=True, **more)

    first = train(checkpoint=tmp_path / "a", callbacks=[lambda run: run.stop("time is up") if run.epoch == 2 else None])
    assert (first.epochs, first.stopped) == (2, "time is up")
    assert train(checkpoint=tmp_path / "a").epochs == 6
    stopping = {"early_stopping": EarlyStopping(1, monitor="cost", minimum_change=1e9)}
    assert train(checkpoint=tmp_path / "b", **stopping).epochs == 2
    assert train(checkpoint=tmp_path / "b", **stopping).epochs == 2


def test_what_was_warned_of_is_not_warned_of_again(tmp_path):
    def dead():
        cost = Sequential(Linear(3, 4, rng=0), ReLU(), Linear(4, 2, rng=1), CrossEntropyLoss())
        cost[0].bias[...] = -1e6
        return cost

    options = {"rng": 0, "batch_size": 2, "progress": False, "checkpoint": tmp_path / "run", "resume": True}
    with pytest.warns(TrainingWarning, match="was 0 in the last 20 steps"):
        fit(dead(), (X, T), epochs=1, **options)
    fit(dead(), (X, T), epochs=2, **options)  # a warning would be an error


def cut_after(steps):
    class Cut(Callback):
        def after_step(self, run):
            if run.optimizer.steps == steps:
                raise EOFError

    return Cut()


def test_ctrl_c_writes_the_checkpoint_where_none_was_due(tmp_path):
    path = tmp_path / "run"
    press = [lambda run: press_ctrl_c() if run.epoch == 2 else None]
    fit(model(), (X, T), epochs=9, checkpoint=Checkpoint(path, every_epochs=5), callbacks=press, progress=False)
    assert load_arrays(path, kind="checkpoint")[1]["position"]["epoch"] == 2


def test_ctrl_c_in_the_last_step_of_an_epoch_leaves_a_whole_epoch(tmp_path):
    class CtrlC(Callback):
        def after_step(self, run):
            if run.optimizer.steps == 10:
                press_ctrl_c()

    path = tmp_path / "run"
    fit(model(), (X, T), epochs=9, batch_size=8, checkpoint=path, callbacks=[CtrlC()], progress=False)
    position = load_arrays(path, kind="checkpoint")[1]["position"]
    assert (position["epoch"], position["step"]) == (2, 0)


def test_rows_and_dropout_may_draw_from_one_generator(tmp_path):
    def train(seed, **more):
        cost = model(seed)
        adam = Adam(cost, 0.02)
        rng = cost[3].rng  # which draws in every step, between the orders of the rows
        return everything(
            cost, adam, fit(cost, (X, T), optimizer=adam, epochs=3, batch_size=8, rng=rng, progress=False, **more)
        )

    whole = train(0)
    checkpoint = Checkpoint(tmp_path / "run", every_steps=1)
    with pytest.raises(EOFError):
        train(0, checkpoint=checkpoint, callbacks=[cut_after(8)])
    assert_same_bits(whole, train(5, checkpoint=checkpoint, resume=True))


def test_the_best_epoch_may_lie_before_the_interruption(tmp_path):
    values = {"all": [0.1, 0.9, 0.3, 0.2, 0.1, 0.0]}

    def train(seed, **more):
        cost = model(seed)
        done = []

        def score(z, t):
            return values["all"][len(done)]

        sgd = SGD(cost, 0.1)
        stopping = EarlyStopping(3, monitor="score", mode="max")
        callbacks = [lambda run: done.append(run.epoch), *more.pop("callbacks", [])]
        history = fit(
            cost, (X, T), optimizer=sgd, epochs=6, batch_size=8, rng=1, validation=(X, T), metrics={"score": score},
            early_stopping=stopping, progress=False, callbacks=callbacks, **more,
        )  # fmt: skip
        return everything(cost, sgd, history), history

    whole, history = train(0)
    assert (history.epochs, history.best_epoch) == (5, 2)
    path = tmp_path / "run"
    with pytest.raises(EOFError):
        train(0, checkpoint=path, callbacks=[cut_after(16)])
    values["all"] = values["all"][3:]  # it goes on in the fourth epoch
    again, history = train(7, checkpoint=path, resume=True)
    assert (history.epochs, history.best_epoch) == (5, 2)
    assert_same_bits(whole, again)


def test_an_average_that_does_not_fit_leaves_the_optimizer_alone(tmp_path):
    path = tmp_path / "run"
    cost = model()
    fit(cost, (X, T), optimizer=Adam(cost, 0.02), epochs=1, average=EMA(cost), checkpoint=path, progress=False)
    arrays, record = load_arrays(path, kind="checkpoint")
    name = next(name for name in arrays if name.startswith("average/"))
    save_arrays(path, arrays | {name: np.full_like(arrays[name], np.nan)}, record, kind="checkpoint")
    cost = model()
    adam = Adam(cost, 0.02)
    with pytest.raises(FileError, match="average"):
        fit(cost, (X, T), optimizer=adam, epochs=2, average=EMA(cost), checkpoint=path, resume=True, progress=False)
    assert adam.steps == 0
    assert not any(vector.any() for vector in adam.vectors.values())


@pytest.mark.parametrize(
    "make",
    [
        lambda k: Sequential(Linear(3, 2, rng=0), CrossEntropyLoss(class_weights=np.array([1.0, k]))),
        lambda k: Sequential(Linear(3, 2, rng=0), BatchNorm1d(2, eps=k), CrossEntropyLoss()),
        lambda k: Penalized(Sequential(Linear(3, 2, rng=0), CrossEntropyLoss()), L2Penalty(k)),
    ],
)
def test_settings_that_no_repr_shows_are_compared_too(tmp_path, make):
    options = {"rng": 0, "checkpoint": tmp_path / "run", "resume": True, "progress": False}
    fit(make(0.1), (X, T), epochs=1, **options)
    with pytest.raises(FileError, match=r"a run that had cost\."):
        fit(make(0.1000001), (X, T), epochs=2, **options)
    fit(make(0.1), (X, T), epochs=2, **options)


def test_a_checkpoint_of_mapped_data_takes_little_memory(tmp_path):
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=(4, 2**22))
    tracemalloc.start()
    first = checksum(x)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    x[2, 5] = 1
    assert checksum(x) != first
