"""fit: it is the loop that one would write by hand, with an end that is explained."""

import math
import subprocess
import sys
import warnings

import numpy as np
import pytest

from minigrad import (
    EMA,
    SGD,
    SWA,
    Adam,
    BatchNorm1d,
    Branch,
    Callback,
    CrossEntropyLoss,
    Dropout,
    EarlyStopping,
    Elementwise,
    Frozen,
    HingeLoss,
    Identity,
    L2Penalty,
    Layer,
    Linear,
    MSELoss,
    NewtonCG,
    Parallel,
    Penalized,
    ReduceLROnPlateau,
    ReLU,
    Sequential,
    StepLR,
    Tanh,
    TrainingError,
    TrainingWarning,
    evaluate,
    fit,
    minibatches,
    value_and_gradients,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 3))
T = (X[:, 0] > X[:, 1]).astype(int)


def model(seed=0, loss=None):
    rng = np.random.default_rng(seed)
    return Sequential(Linear(3, 6, rng=rng), Tanh(), Linear(6, 2, rng=rng), loss or CrossEntropyLoss())


def quiet(cost, data, **options):
    return fit(cost, data, **{"progress": False, "rng": 1, **options})


def by_hand(cost, optimizer, epochs, batch_size=32, seed=1):
    rng = np.random.default_rng(seed)
    steps, means = [], []
    for _ in range(epochs):
        total = 0.0
        for x, t in minibatches(X, T, batch_size=batch_size, rng=rng):
            value, gradients = value_and_gradients(cost, x, t)
            optimizer.step(gradients)
            steps.append(value)
            total += float(value) * len(t)
        means.append(total / len(X))
    return steps, means


@pytest.mark.parametrize("make", [lambda cost: SGD(cost, 0.3, momentum=0.9), Adam])
def test_it_is_the_loop_by_hand_to_the_bit(make):
    ours, theirs = model(), model()
    history = quiet(ours, (X, T), optimizer=make(ours), epochs=4, batch_size=16)
    steps, means = by_hand(theirs, make(theirs), 4, 16)
    np.testing.assert_array_equal(history.step_cost, steps)
    np.testing.assert_array_equal(history["cost"], means)
    for name, array in ours.parameters().items():
        np.testing.assert_array_equal(array, theirs.parameters()[name])


FORMS = {
    "arrays": lambda: (X, T),
    "an optimizer's factory": lambda: (X, T),
    "a function": lambda: lambda rng: minibatches(X, T, batch_size=32, rng=rng),
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_of_the_same_data_train_alike(form):
    expected, cost = model(), model()
    quiet(expected, (X, T), optimizer=SGD(expected, 0.1), epochs=3)
    optimizer = (lambda cost: SGD(cost, 0.1)) if form == "an optimizer's factory" else SGD(cost, 0.1)
    quiet(cost, FORMS[form](), optimizer=optimizer, epochs=3)
    np.testing.assert_array_equal(cost[0].weight, expected[0].weight)


def test_a_list_of_batches_is_taken_in_its_order():
    batches = [[X[:20], T[:20]], (X[20:], T[20:])]
    ours, theirs = model(), model()
    history = quiet(ours, batches, optimizer=SGD(ours, 0.1), epochs=2)
    sgd = SGD(theirs, 0.1)
    for x, t in [*batches, *batches]:
        sgd.step(value_and_gradients(theirs, x, t)[1])
    np.testing.assert_array_equal(ours[0].weight, theirs[0].weight)
    assert len(history.step_cost) == 4


def test_shuffle_false_keeps_the_order():
    ours, theirs = model(), model()
    quiet(ours, (X, T), optimizer=SGD(ours, 0.1), epochs=1, batch_size=20, shuffle=False)
    sgd = SGD(theirs, 0.1)
    for start in (0, 20, 40):
        sgd.step(value_and_gradients(theirs, X[start : start + 20], T[start : start + 20])[1])
    np.testing.assert_array_equal(ours[0].weight, theirs[0].weight)


def test_several_inputs_and_weights():
    weights = np.arange(50) / 25
    cost = Sequential(Parallel(Linear(3, 2, rng=0), Linear(1, 2, rng=1)), Added(), CrossEntropyLoss())
    quiet(cost, ((X, X[:, :1]), T, weights), epochs=2)
    x, t, w = next(minibatches((X, X[:, :1]), T, weights, batch_size=7, rng=3))
    assert type(x) is tuple
    np.testing.assert_array_equal(x[0][:, :1], x[1])
    np.testing.assert_array_equal(t, (x[0][:, 0] > x[0][:, 1]).astype(int))
    np.testing.assert_array_equal(w, [weights[np.where((row == X).all(axis=1))[0][0]] for row in x[0]])


class Added(Layer):
    def forward(self, z):
        return z[0] + z[1], None

    def backward(self, delta, cache):
        return delta, delta


def test_widths_that_were_left_out_come_from_the_data():
    cost = Sequential(Linear(None, 4), Tanh(), Linear(None, 2), CrossEntropyLoss())
    quiet(cost, (X, T), epochs=1)
    assert cost[0].weight.shape == (4, 3)


def test_validation_is_what_the_model_gives_at_inference():
    cost = Sequential(Linear(3, 6, rng=0), BatchNorm1d(6), Dropout(0.5, rng=0), Linear(6, 2, rng=1), CrossEntropyLoss())
    seen = []

    def look(run):
        seen.append((float(cost(X[30:], T[30:])), float((cost[:-1](X[30:]).argmax(axis=1) == T[30:]).mean())))

    history = quiet(
        cost,
        (X[:30], T[:30]),
        epochs=3,
        validation=(X[30:], T[30:]),
        metrics={"accuracy": lambda z, t: (z.argmax(axis=1) == t).mean()},
        callbacks=[look],
    )
    np.testing.assert_allclose(history["validation_cost"], [value for value, _ in seen], rtol=1e-12)
    np.testing.assert_array_equal(history["accuracy"], [accuracy for _, accuracy in seen])
    assert list(history) == [
        "cost", "validation_cost", "accuracy", "learning_rate", "gradient_norm", "seconds",
    ]  # fmt: skip


def test_metrics_see_the_model_below_the_loss_of_stacks_in_stacks():
    rng = np.random.default_rng(0)
    lower, upper = Sequential(Linear(3, 4, rng=rng), Tanh()), Sequential(Linear(4, 2, rng=rng), CrossEntropyLoss())
    cost = Penalized(Sequential(lower, upper), L2Penalty(0.3, "*.weight"))
    seen = []
    found = evaluate(cost, (X, T), batch_size=7, metrics={"m": lambda z, t: seen.append((z, t)) or 0.0})
    np.testing.assert_allclose(seen[0][0], upper[0](lower(X)), rtol=1e-14)
    np.testing.assert_array_equal(seen[0][1], T)
    assert found["cost"] == pytest.approx(float(cost(X, T)), rel=1e-13)


def test_a_generator_is_evaluated_in_one_pass():
    cost = model()
    found = evaluate(cost, ((X[i : i + 7], T[i : i + 7]) for i in range(0, 50, 7)), metrics={"n": lambda z, t: len(z)})
    assert found == {"cost": pytest.approx(float(cost(X, T)), rel=1e-13), "n": 50}


def test_outputs_of_several_arrays_and_data_without_a_target():
    class Both(Layer):
        def forward(self, z):
            return ((z[0] - z[1]) ** 2).mean(), z[0] - z[1]

        def backward(self, delta, d):
            return 2 * delta * d / d.size, -2 * delta * d / d.size

    cost = Sequential(Branch(Linear(3, 3, rng=0), Identity()), Both())
    found = evaluate(cost, X, batch_size=9, metrics={"error": lambda z: np.abs(z[0] - z[1]).max()})
    expected = np.abs(cost[0].children()[0][1](X) - X).max()
    assert found["error"] == pytest.approx(expected, rel=1e-13)
    history = quiet(cost, X, epochs=30, optimizer=Adam(cost, 0.05))
    assert history["cost"][-1] < history["cost"][0] / 5


def test_a_layer_that_says_what_it_is_at_inference_is_validated_so():
    class Noise(Layer):
        def __init__(self):
            self.rng = np.random.default_rng(0)

        def forward(self, z):
            return z + self.rng.normal(size=z.shape), None

        def backward(self, delta, cache):
            return delta

        def at_inference(self):
            return Identity()

    cost = Sequential(Noise(), *model())
    np.testing.assert_array_equal(cost(X, T), model()(X, T))
    history = quiet(cost, (X, T), epochs=1, optimizer=SGD(cost, 1e-12), validation=(X, T))
    assert history["validation_cost"][0] == pytest.approx(float(model()(X, T)), rel=1e-9)


def test_the_plateau_is_that_of_what_is_monitored():
    values = iter([0.5, 0.6, 0.7, 0.7, 0.7, 0.7])
    cost = model()
    plateau = ReduceLROnPlateau("max", patience=0)
    history = quiet(
        cost, (X, T), optimizer=SGD(cost, 0.1, schedule=plateau), epochs=6, validation=(X, T),
        metrics={"m": lambda z, t: next(values)}, early_stopping=EarlyStopping(9, monitor="m", mode="max"),
    )  # fmt: skip
    np.testing.assert_allclose(history["learning_rate"], [0.1, 0.1, 0.1, 0.1, 0.01, 0.001], rtol=1e-12)
    refused(
        r"fit expects ReduceLROnPlateau\(mode='min'\), got 'max'", cost=cost, optimizer=SGD(cost, 0.1, schedule=plateau)
    )


def test_batches_of_another_librarys_loader():
    class Tensor:
        def __init__(self, array):
            self.array = array

        def __array__(self, dtype=None, copy=None):
            return self.array

    class Loader:
        def __len__(self):
            raise TypeError("unknown")

        def __iter__(self):
            for i in range(0, 50, 10):
                yield [Tensor(X[i : i + 10]), Tensor(T[i : i + 10])]

    ours, theirs = model(), model()
    quiet(ours, Loader(), epochs=2)
    quiet(theirs, (X, T), epochs=2, batch_size=10, shuffle=False)
    np.testing.assert_array_equal(ours[0].weight, theirs[0].weight)


def test_validation_takes_no_larger_batches_than_training():
    class Small(Elementwise):
        def f(self, z):
            assert len(z) <= 7
            return z

        def df(self, z):
            return np.ones_like(z)

    quiet(Sequential(Small(), *model()), (X, T), batch_size=7, epochs=1, validation=(X, T))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_evaluate_is_the_cost_of_all_rows_in_any_batches(reduction):
    cost = Penalized(model(loss=CrossEntropyLoss(reduction)), L2Penalty(0.1, "*.weight"))
    weights = np.arange(50) % 7
    expected = float(cost(X, T, weights))
    parts = [(X[a:b], T[a:b], weights[a:b]) for a, b in ((0, 3), (3, 40), (40, 50))]
    for data in ((X, T, weights), parts):
        found = evaluate(cost, data, batch_size=9, metrics={"share": lambda z, t: (z.argmax(axis=1) == t).mean()})
        assert found["cost"] == pytest.approx(expected, rel=1e-13)
        assert found["share"] == (cost.cost[:-1](X).argmax(axis=1) == T).mean()


def test_a_cost_that_sums_has_the_sum_in_its_history():
    cost = model(loss=CrossEntropyLoss("sum"))
    history = quiet(cost, (X, T), optimizer=SGD(cost, 1e-12), epochs=1, validation=(X, T))
    assert history["cost"][0] == pytest.approx(float(cost(X, T)), rel=1e-9)
    assert history["validation_cost"][0] == pytest.approx(float(cost(X, T)), rel=1e-12)


def test_early_stopping_goes_back_to_the_best_epoch():
    # Labels of the training rows are noise: the better it learns them, the worse it gets elsewhere.
    noise = np.random.default_rng(5).integers(0, 2, 30)
    cost = Sequential(Linear(3, 6, rng=0), BatchNorm1d(6), Tanh(), Linear(6, 2, rng=1), CrossEntropyLoss())
    history = quiet(
        cost, (X[:30], noise), optimizer=Adam(cost, 0.05), epochs=200, validation=(X[30:], T[30:]), early_stopping=3
    )
    best = int(history["validation_cost"].argmin())
    assert history.best_epoch == best + 1 == history.epochs - 3
    assert float(cost(X[30:], T[30:])) == pytest.approx(history["validation_cost"].min(), rel=1e-12)
    assert history["validation_cost"][-1] > history["validation_cost"].min()
    assert history.stopped == (
        "stopped early: validation_cost was not better for 3 epochs; the parameters are those of "
        f"epoch {best + 1}, validation_cost {history['validation_cost'].min():.6g}"
    )


def test_early_stopping_by_a_metric_that_is_to_grow():
    values = iter([0.1, 0.5, 0.5, 0.4, 0.9, 0.9])
    cost = model()
    stopping = EarlyStopping(3, monitor="score", mode="max")
    history = quiet(
        cost, (X, T), epochs=6, validation=(X, T), metrics={"score": lambda z, t: next(values)}, early_stopping=stopping
    )
    assert history.epochs == 6  # 0.9 came in the third epoch after 0.5
    assert history.best_epoch == 5


def test_a_small_change_is_none():
    stopping = EarlyStopping(2, monitor="cost", minimum_change=1e9)
    history = quiet(model(), (X, T), epochs=9, early_stopping=stopping)
    assert history.epochs == 3
    assert history.best_epoch == 1


def test_without_early_stopping_the_last_parameters_stay():
    cost = model()
    history = quiet(cost, (X, T), epochs=3, validation=(X, T))
    assert history.stopped == "all 3 epochs are done"
    assert float(cost(X, T)) == pytest.approx(history["validation_cost"][-1], rel=1e-12)


def test_a_callback_can_stop():
    class Counted(Callback):
        steps = 0

        def after_step(self, run):
            self.steps += 1
            assert run.step == (self.steps - 1) % 2 + 1

        def after_epoch(self, run):
            if run.epoch == 2:
                run.stop("enough")

    counted = Counted()
    history = quiet(model(), (X, T), epochs=9, callbacks=[counted])
    assert counted.steps == 4
    assert history.stopped == "enough"


@pytest.mark.parametrize("make", [lambda cost: EMA(cost, 0.7), SWA])
def test_an_average_is_validated_and_left_in_the_cost(make):
    cost, twin = model(), model()
    history = quiet(
        cost, (X, T), optimizer=SGD(cost, 0.5), epochs=3, batch_size=10, validation=(X, T), average=make(cost)
    )
    sgd, average = SGD(twin, 0.5), make(twin)
    rng = np.random.default_rng(1)
    for _ in range(3):
        for x, t in minibatches(X, T, batch_size=10, rng=rng):
            sgd.step(value_and_gradients(twin, x, t)[1])
            average.update()
    average.copy_to()
    np.testing.assert_array_equal(cost[0].weight, twin[0].weight)
    assert history["validation_cost"][-1] == pytest.approx(float(twin(X, T)), rel=1e-12)


def test_the_schedule_is_in_the_history():
    cost = model()
    history = quiet(cost, (X, T), optimizer=SGD(cost, 0.8, schedule=StepLR(2, 0.5)), epochs=5)
    np.testing.assert_allclose(history["learning_rate"], [0.8, 0.8, 0.4, 0.4, 0.2])


def test_the_largest_gradient_norm_of_an_epoch_is_in_the_history():
    cost, twin = model(), model()
    history = quiet(cost, (X, T), optimizer=SGD(cost, 1e-9), epochs=1, batch_size=5)
    norms = []
    for x, t in minibatches(X, T, batch_size=5, rng=1):
        gradients = value_and_gradients(twin, x, t)[1]
        norms.append(math.sqrt(sum((g**2).sum() for g in gradients.values())))
    assert history["gradient_norm"][0] == pytest.approx(max(norms), rel=1e-6)


# What goes wrong.


class Log(Elementwise):
    keeps = "input"

    def f(self, z):
        with np.errstate(all="ignore"):
            return np.log(z)

    def df(self, z):
        with np.errstate(all="ignore"):
            return 1 / z


class Root(Elementwise):
    keeps = "input"

    def f(self, z):
        return np.sqrt(z)

    def df(self, z):
        with np.errstate(all="ignore"):
            return 0.5 / np.sqrt(z)


def test_a_nan_names_layer_rule_step_and_batch_and_keeps_the_last_good_parameters():
    cost = Sequential(
        Linear(1, 1, bias=False, rng=0), BatchNorm1d(1, affine=False), Linear(1, 1, rng=1), Log(), MSELoss()
    )
    cost[2].weight[...], cost[2].bias[...] = 1e-3, 2.0
    bad = np.array([[0.0], [1.0], [-1e9]])
    good = np.array([[0.0], [1.0], [2.0]])
    t = np.zeros((3, 1))
    before = []

    class Look(Callback):
        def after_step(self, run):
            before.append(cost[2].weight.copy())

    cost[2].weight[...] = 1.9  # normalised values reach beyond -1.05, where the logarithm ends
    batches = [(good, t), (good, t), (bad, t)]
    start = {name: array.copy() for name, array in cost.parameters().items()}
    with pytest.raises(TrainingError) as caught:
        quiet(cost, batches, optimizer=SGD(cost, 1e-4), epochs=3, callbacks=[Look()])
    message = str(caught.value)
    assert "training stopped in epoch 1, batch " in message
    assert "Log" in message
    assert "forward" in message
    assert isinstance(caught.value, FloatingPointError)
    assert len(caught.value.history.step_cost) == len(before)
    np.testing.assert_array_equal(caught.value.batch[0], batches[len(before)][0])
    kept = before[-2] if len(before) > 1 else start["2.weight"]
    np.testing.assert_array_equal(cost[2].weight, kept)
    assert np.isfinite(float(cost[:2](good).sum()))
    assert np.isfinite(cost[1].running_mean).all()


@np.errstate(invalid="ignore")
def test_a_gradient_that_is_infinite_names_its_rule():
    cost = Sequential(Linear(1, 1, rng=0), Root(), MSELoss())
    cost[0].weight[...], cost[0].bias[...] = 1.0, 0.0
    x, t = np.array([[1.0], [0.0]]), np.ones((2, 1))
    with pytest.raises(TrainingError, match=r"(?s)epoch 1, batch 1 of it.*Root.*(backward|rule 2)"):
        quiet(cost, (x, t))
    assert cost[0].weight[0, 0] == 1.0


def test_another_error_says_where_it_arose():
    with pytest.raises(ValueError, match="expects labels") as caught:
        quiet(model(), [(X[:10], T[:10]), (X[:10], T[:10] + 5)])
    assert any("in epoch 1, batch 2 of it (step 2 in all) of fit" in note for note in caught.value.__notes__)


def test_running_statistics_that_a_bad_batch_moved_are_put_back():
    cost = Sequential(BatchNorm1d(1, affine=False), Linear(1, 1, rng=0), Log(), MSELoss())
    cost[1].weight[...], cost[1].bias[...] = 1.0, 1.5
    good = (np.array([[-1.0], [0.0], [1.0]]), np.zeros((3, 1)))
    bad = (np.array([[0.0]] * 5 + [[-1e3]]), np.zeros((6, 1)))
    seen = []

    class Look(Callback):
        def after_step(self, run):
            seen.append((cost[0].running_mean.copy(), cost[0].running_var.copy(), int(cost[0].num_batches_tracked)))

    with pytest.raises(TrainingError, match="batch 3 of it"):
        quiet(cost, [good, good, bad], optimizer=SGD(cost, 1e-6), callbacks=[Look()])
    assert len(seen) == 2
    assert (cost[0].running_mean, cost[0].running_var, cost[0].num_batches_tracked) == seen[-1]


def test_a_validation_that_is_not_finite_is_a_training_error():
    cost = Sequential(Linear(1, 1, rng=0), Log(), MSELoss())
    cost[0].weight[...], cost[0].bias[...] = 1.0, 0.0
    good, bad = (np.ones((4, 1)), np.zeros((4, 1))), (-np.ones((4, 1)), np.zeros((4, 1)))
    with pytest.raises(TrainingError, match="stopped in the validation after epoch 1: the cost is nan") as caught:
        quiet(cost, good, optimizer=SGD(cost, 1e-3), validation=bad)
    assert caught.value.history.step_cost.size == 1
    assert caught.value.batch is None


@pytest.mark.parametrize("where", ["data", "metrics", "callbacks"])
def test_errors_of_others_say_where_they_arose(where):
    def fails(*_):
        raise ZeroDivisionError

    def batches(rng):
        yield X, T
        fails()

    options = {
        "data": {},
        "metrics": {"metrics": {"m": fails}, "validation": (X, T)},
        "callbacks": {"callbacks": fails},
    }
    with pytest.raises(ZeroDivisionError) as caught:
        quiet(model(), batches if where == "data" else (X, T), **options[where])
    notes = "; ".join(caught.value.__notes__)
    assert {"data": "in the data of epoch 1", "metrics": "in the metric 'm'", "callbacks": "the steps of epoch 1"}[
        where
    ] in notes


@pytest.mark.parametrize("rate", [100.0, 1e3, 1e6])
@np.errstate(over="ignore")
def test_a_learning_rate_that_explodes_at_once_is_called_so(rate):
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(200, 8)), rng.integers(0, 3, 200)
    cost = Sequential(Linear(8, 16, rng=0), ReLU(), Linear(16, 3, rng=1), CrossEntropyLoss())
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        with pytest.raises((TrainingWarning, TrainingError), match=r"had risen from 1.* at first to|was 0 in the last"):
            quiet(cost, (x, t), optimizer=SGD(cost, rate), epochs=5, batch_size=8)


def test_a_learning_rate_that_diverges_is_called_so():
    x = np.random.default_rng(0).normal(size=(40, 2))
    cost = Sequential(Linear(2, 1, rng=0), MSELoss())
    with pytest.warns(TrainingWarning, match=r"the cost had risen from .* at first to .*: the learning rate 3 "):
        quiet(cost, (x, x[:, :1]), optimizer=SGD(cost, 3.0), epochs=2, batch_size=4)


@pytest.mark.filterwarnings("ignore::minigrad.TrainingWarning")
@np.errstate(over="ignore")
def test_a_divergence_that_ends_in_infinity_is_called_so():
    x = np.random.default_rng(0).normal(size=(40, 2))
    cost = Sequential(Linear(2, 1, rng=0), MSELoss())
    with pytest.raises(
        TrainingError, match=r"(?s)The cost had risen from .*: the learning rate 3 diverges; try a tenth"
    ):
        quiet(cost, (x, x[:, :1]), optimizer=SGD(cost, 3.0), epochs=1000, batch_size=4)
    assert np.isfinite(float(cost(x, x[:, :1])))


def test_noise_is_not_called_divergence():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(60, 3))
        cost = model(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("error", TrainingWarning)
            quiet(cost, (x, rng.integers(0, 2, 60)), optimizer=SGD(cost, 0.1), epochs=5, batch_size=2, rng=seed)


@pytest.mark.parametrize(("rows", "batch"), [(33, 32), (65, 32), (10, 1), (40, 7)])
def test_ordinary_regressions_are_not_called_diverging(rows, batch):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(rows, 3))
        t = x @ rng.normal(size=(3, 1)) + rng.normal(size=(rows, 1))
        cost = Sequential(Linear(3, 1, rng=rng), MSELoss())
        with warnings.catch_warnings():
            warnings.simplefilter("error", TrainingWarning)
            quiet(cost, (x, t), optimizer=Adam(cost, 0.01), epochs=10, batch_size=batch, rng=seed)


def test_sums_of_batches_that_grow_are_not_called_diverging():
    cost = model(loss=CrossEntropyLoss("sum"))
    batches = [(X[:n], T[:n]) for n in range(1, 40)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        quiet(cost, batches, optimizer=SGD(cost, 1e-3), epochs=1)


def test_units_that_die_later_are_reported():
    cost = Sequential(Linear(3, 4, rng=0), ReLU(), Linear(4, 2, rng=1), CrossEntropyLoss())

    def kill(run):
        if run.epoch == 1:
            cost[0].bias[...] = -1e6

    with pytest.warns(TrainingWarning, match=r"0\.weight, 0\.bias, 2\.weight was 0 in the last 25 steps up to epoch 2"):
        quiet(cost, (X, T), batch_size=2, epochs=2, callbacks=kill)


def test_a_parameter_that_the_cost_does_not_depend_on_is_reported():
    cost = Sequential(Linear(3, 4, rng=0), ReLU(), Linear(4, 2, rng=1), CrossEntropyLoss())
    cost[0].bias[...] = -1e6  # every unit is dead
    with pytest.warns(
        TrainingWarning, match=r"the gradient of 0\.weight, 0\.bias, 2\.weight was 0 in the last 10 steps"
    ):
        quiet(cost, (X, T), epochs=6)


def test_a_sound_or_frozen_model_is_not_reported():
    for cost in (model(), Sequential(Frozen(Linear(3, 4, rng=0)), Tanh(), Linear(4, 2, rng=1), CrossEntropyLoss())):
        with warnings.catch_warnings():
            warnings.simplefilter("error", TrainingWarning)
            quiet(cost, (X, T), epochs=6)


# What is refused.


def refused(match, kind=ValueError, **options):
    cost = options.pop("cost", None) or model()
    before = {name: array.copy() for name, array in cost.parameters().items()}
    with pytest.raises(kind, match=match):
        quiet(cost, options.pop("data", (X, T)), **options)
    for name, array in cost.parameters().items():
        np.testing.assert_array_equal(array, before[name])


def test_bad_arguments_are_refused_and_nothing_changes():
    refused("fit expects one target for each of 50 rows of x, got 49", data=(X, T[:-1]))
    refused(r"fit expects finite numbers, got nan in x\[0, 0\]", data=(np.where(X[0, 0] == X, np.nan, X), T))
    refused("fit expects data of one row or more, got none", data=(X[:0], T[:0]))
    refused("fit expects a positive integer batch_size, got 0", batch_size=0)
    refused("fit expects epochs to be a positive integer, got 0", epochs=0)
    refused("fit expects shuffle to be True or False", TypeError, shuffle=3)
    refused("fit expects validation data for metrics", metrics={"a": len})
    refused("fit expects metrics as", TypeError, metrics=len, validation=(X, T))
    refused("fit expects metrics named otherwise than cost,", metrics={"cost": len}, validation=(X, T))
    refused("fit expects an optimizer such as", TypeError, optimizer="adam")
    refused("fit expects an optimizer of this cost, got Adam", optimizer=Adam(model()))
    refused("fit expects early_stopping to be EarlyStopping", TypeError, early_stopping=True)
    refused("fit expects average to be EMA", TypeError, average=0.9)
    refused("fit expects an average of this cost, got EMA", average=EMA(model()))
    refused("fit expects data of arrays as a tuple of NumPy arrays", TypeError, data=[X, T])
    refused("fit expects data of arrays as a tuple", TypeError, data=([X, X], T))
    refused(r"expects batches \(x, target\) of arrays, got", TypeError, data=[()])
    refused("a Callback to have after_step", TypeError, callbacks=[Callback()])
    refused("or Callbacks, got the class Callback", TypeError, callbacks=[Callback])
    refused("cannot write the checkpoint /nowhere/at/all: make its folder", OSError, checkpoint="/nowhere/at/all")
    refused("fit expects callbacks to be functions of a run, or Callbacks, got int", TypeError, callbacks=[3])
    refused(r"fit expects progress in \('auto', 'bar', 'lines', False\), got 'loud'", progress="loud")
    refused("fit expects data as", TypeError, data=3)
    refused("which can be read once", data=iter([(X, T)]), epochs=2)
    refused("which can be read once", validation=iter([(X, T)]))
    refused("got none in epoch 1", data=[])
    refused("expects a function of data to return batches, got None", TypeError, data=lambda rng: None)


def test_a_monitor_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"to monitor one of cost, got 'validation_cost'"):
        quiet(model(), (X, T), early_stopping=2, epochs=1)


def test_early_stopping_checks_what_it_is_given():
    for options, message in (
        ({"patience": 0}, "patience to be a positive integer, got 0"),
        ({"mode": "up"}, r"mode in \('min', 'max'\), got 'up'"),
        ({"monitor": "accuracy"}, "mode='min' or mode='max' for 'accuracy': is it to fall or to grow"),
        ({"monitor": 3}, "monitor to be a name in the history, got int"),
        ({"minimum_change": -1.0}, "minimum_change to be a finite number of 0 or more"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            EarlyStopping(**options)


def test_metrics_are_one_number():
    with pytest.raises(TypeError, match="the metric 'right' is to return one number, got ndarray of bool"):
        quiet(model(), (X, T), validation=(X, T), metrics={"right": lambda z, t: z.argmax(axis=1) == t})


def test_a_generator_serves_for_one_epoch():
    history = quiet(model(), ((X[i : i + 5], T[i : i + 5]) for i in range(0, 50, 5)), epochs=1)
    assert len(history.step_cost) == 10


def test_a_history_knows_its_names():
    history = quiet(model(), (X, T), epochs=2)
    with pytest.raises(KeyError, match="History has no 'accuracy': it has cost, learning_rate"):
        history["accuracy"]
    assert "cost" in history
    assert repr(history).splitlines()[0].split() == ["epoch", "cost", "learning_rate", "gradient_norm"]
    assert repr(history).splitlines()[-1] == "all 2 epochs are done"


# Progress.


def test_lines_where_the_output_is_no_terminal(capsys):
    fit(model(), (X, T), epochs=3, rng=0, validation=(X, T))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("epoch 1/3   cost 0.")
    assert "   validation cost 0." in lines[0]
    assert lines[0].endswith(" s")
    assert lines[-1] == "all 3 epochs are done"


def test_many_quick_epochs_are_few_lines(capsys):
    fit(model(), (X, T), epochs=200, rng=0)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("epoch   1/200")
    assert any(line.startswith("epoch 200/200") for line in lines)
    assert len(lines) < 30


def test_a_long_epoch_speaks_in_between(capsys, monkeypatch):
    from minigrad.training import progress

    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    fit(model(), (X, T), epochs=1, batch_size=10, rng=0)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("   ")[1] for line in lines[:5]] == [f"step {i}/5" for i in range(1, 6)]


def test_silence_when_asked(capfd):
    fit(model(), (X, T), epochs=3, rng=0, progress=False)
    assert capfd.readouterr() == ("", "")


def test_a_bar_from_tqdm_where_it_is_installed(capsys):
    pytest.importorskip("tqdm")
    fit(model(), (X, T), epochs=3, rng=0, progress="bar")
    out = capsys.readouterr().out
    assert "epoch 3/3" in out
    assert "6/6" in out
    assert out.splitlines()[-1] == "all 3 epochs are done"


def test_a_bar_without_tqdm_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=r"pip install 'minigrad\[progress\]'"):
        fit(model(), (X, T), progress="bar")


# Data larger than memory.


def test_a_memory_map_trains_as_the_array_does(tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    ours, theirs = model(), model()
    quiet(ours, (mapped, T), epochs=2)
    quiet(theirs, (X, T), epochs=2)
    np.testing.assert_array_equal(ours[0].weight, theirs[0].weight)


@pytest.mark.parametrize("shuffle", [True, False])
def test_batches_of_a_memory_map_are_read_in_pieces(tmp_path, monkeypatch, shuffle):
    from minigrad.training import batches

    monkeypatch.setattr(batches, "PAGES", 3 * (batches.AROUND + 24))
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for (ours, _), (theirs, _) in zip(
        minibatches(mapped, T, batch_size=17, rng=0, shuffle=shuffle),
        minibatches(X, T, batch_size=17, rng=0, shuffle=shuffle),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
        assert not np.shares_memory(ours, mapped)


def test_a_nan_in_a_memory_map_is_found_when_it_is_read(tmp_path):
    broken = X.copy()
    broken[17, 1] = np.nan
    np.save(tmp_path / "x.npy", broken)
    with pytest.raises(ValueError, match=r"fit expects finite numbers, got nan in x\["):
        quiet(model(), (np.load(tmp_path / "x.npy", mmap_mode="r"), T), epochs=1)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of the resident memory from Linux")
@pytest.mark.parametrize("shuffle", [True, False])
def test_an_array_on_disk_trains_in_less_memory_than_it_has(tmp_path, shuffle):
    """1 GiB in a sparse file; `python -m benchmarks.mapped` does it with 4 GiB of numbers."""
    program = f"""
import numpy as np
from minigrad import *
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
x = np.memmap({str(tmp_path / "x")!r}, np.float32, "w+", shape=(2**18, 1024))
t = np.arange(len(x)) % 2
cost = Sequential(Linear(1024, 2, rng=0, dtype=np.float32), CrossEntropyLoss())
before = peak()
history = fit(cost, (x, t), epochs=1, batch_size=4096, rng=0, shuffle={shuffle}, progress=False,
              callbacks=[lambda run: None], optimizer=SGD(cost, 0.1))
print(len(history.step_cost), peak() - before)
"""
    run = subprocess.run(
        [sys.executable, "-W", "ignore::minigrad.TrainingWarning", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path), "OPENBLAS_NUM_THREADS": "1"},
    )
    steps, kilobytes = map(int, run.stdout.split())
    assert steps == 64
    assert kilobytes < 250_000


def test_a_loss_of_ones_own_counts_as_a_mean():
    class Half(Layer):
        def forward(self, z, target):
            return ((z - target) ** 2).mean() / 2, z - target

        def backward(self, delta, difference):
            return delta * difference / difference.size

    cost = Sequential(Linear(3, 1, rng=0), Half())
    history = quiet(cost, (X, X[:, :1]), epochs=2, validation=(X, X[:, :1]))
    assert history["validation_cost"][-1] == pytest.approx(float(cost(X, X[:, :1])), rel=1e-12)


# Solvers.


def test_a_solver_fits_all_rows_and_leaves_its_certificate(capsys):
    cost = Penalized(Sequential(Linear(3, 2, rng=0), CrossEntropyLoss("sum")), L2Penalty(1.0, "*.weight"))
    history = fit(cost, (X, T), optimizer=NewtonCG)
    assert history.minimum.converged
    assert history.stopped == str(history.minimum)
    assert history["cost"][-1] == pytest.approx(float(cost(X, T)), rel=1e-12)
    assert history["gradient_norm"][-1] <= 1e-6
    gradients = value_and_gradients(cost, X, T)[1]
    assert max(np.abs(g).max() for g in gradients.values()) <= 1e-6
    assert capsys.readouterr().out.splitlines()[-1] in str(history.minimum).splitlines()


def test_a_solver_refuses_what_belongs_to_batches():
    cost = model()
    for options in ({"epochs": 3}, {"validation": (X, T)}, {"average": EMA(cost)}, {"callbacks": [print]}):
        refused(f"fit expects no {next(iter(options))} with a solver", optimizer=NewtonCG(cost), cost=cost, **options)
    refused("fit expects data as arrays", TypeError, optimizer=NewtonCG, data=[(X, T)])


def test_draws_that_made_a_nan_are_drawn_again_to_find_it():
    """Dropout lets -1 through or not; the logarithm of what is below it fails for one draw and not for another."""
    cost = Sequential(Dropout(0.5, rng=3), Linear(1, 1, rng=0), Log(), MSELoss())
    cost[1].weight[...], cost[1].bias[...] = 1.0, 0.5
    batches = [(np.array([[-1.0]]), np.zeros((1, 1)))] * 50
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(TrainingError, match=r"layer 2, Log\(\): rule 1, forward, gives nan"),
    ):
        quiet(cost, batches, optimizer=SGD(cost, 1e-3), epochs=1)


def test_each_epoch_has_the_largest_norm_of_its_own():
    cost, twin = model(), model()
    history = quiet(cost, (X, T), optimizer=SGD(cost, 2.0), epochs=3, batch_size=10)
    sgd, rng, largest = SGD(twin, 2.0), np.random.default_rng(1), []
    for _ in range(3):
        norms = []
        for x, t in minibatches(X, T, batch_size=10, rng=rng):
            sgd.step(value_and_gradients(twin, x, t)[1])
            norms.append(sgd.gradient_norm)
        largest.append(max(norms))
    assert largest != sorted(largest)
    np.testing.assert_array_equal(history["gradient_norm"], largest)


def test_a_cost_that_exploded_and_did_not_come_back_is_called_diverging():
    from minigrad.training.trouble import Watch

    def risen(costs):
        watch = Watch(SGD(model(), 7.0))
        for cost in costs:
            watch.see(cost, 10, ())
        return watch.rise()

    assert "from 2 at first to 300 and more: the learning rate 7 diverges" in risen([2.0] + [300.0] * 20 + [3.0] * 50)
    assert risen([2.0] + [300.0] * 20 + [1.0] * 50) is None  # it came back
    assert risen([2.0] + [300.0, 1.0] * 50) is None  # single batches


def test_an_exact_fit_is_not_called_unmoved():
    x = np.random.default_rng(0).normal(size=(40, 3))
    t = np.where(x[:, :1] > 0, 1.0, -1.0)
    cost = Sequential(Linear(3, 8, rng=0), ReLU(), Linear(8, 1, rng=1), HingeLoss())
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        history = quiet(cost, (x, t), optimizer=Adam(cost, 0.1), epochs=60)
    assert history["cost"][-1] == 0


def test_rows_that_cost_more_later_are_not_called_diverging():
    t = np.linspace(0, 1, 3200)[:, np.newaxis]
    x, y = np.hstack([t, t**2]), 10 * t
    cost = Sequential(Linear(2, 1, rng=0), MSELoss())
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        history = quiet(cost, (x, y), epochs=3, shuffle=False, optimizer=SGD(cost, 1e-3))
    assert history.step_cost[-1] > 10 * history.step_cost[0]


@pytest.mark.parametrize("stream", [None, object()])
def test_an_output_that_is_no_file_is_no_reason_to_fail(monkeypatch, stream):
    monkeypatch.setattr(sys, "stdout", stream)
    fit(model(), (X, T), epochs=1, rng=0, progress=False)
    from minigrad.training.progress import shown_by

    assert type(shown_by("auto")).__name__ == "Lines"


def test_histories_are_compared_by_identity():
    one, other = (quiet(model(), (X, T), epochs=2) for _ in range(2))
    assert one == one
    assert one != other
    assert set(dict(one)) == set(one)
    assert len(one) == 4
