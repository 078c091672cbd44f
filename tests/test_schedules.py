"""Schedules: PyTorch's numbers over long runs, and what is different here."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad import Linear
from minigrad.optim.adagrad import Adagrad
from minigrad.optim.adam import Adam
from minigrad.optim.one_cycle import OneCycleLR
from minigrad.optim.plateau import ReduceLROnPlateau
from minigrad.optim.rmsprop import RMSprop
from minigrad.optim.schedules import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    Schedule,
    SequentialLR,
    StepLR,
)
from minigrad.optim.sgd import SGD

ZERO = {"weight": np.zeros((2, 3)), "bias": np.zeros(2)}


def optimizer_of(schedule, rule=SGD, rates=(0.3, 0.02), **own):
    return rule(Linear(3, 2, rng=0), rates[0], **own, schedule=schedule, groups={"bias": {"learning_rate": rates[1]}})


def torch_optimizer(rule="SGD", rates=(0.3, 0.02), **own):
    torch = pytest.importorskip("torch")
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": rate} for rate in rates]
    return getattr(torch.optim, rule)(groups, lr=1.0, **own)


def used(optimizer):
    """What a step uses: of all, and of the group."""
    found = {}

    def spy(theta, g, s, slots, scratch):
        found[theta.size] = dict(vars(s))

    optimizer.move = spy
    optimizer.step(ZERO)
    return found[6], found[2]


def compare(ours, theirs, optimizer, steps, each, settings=("learning_rate",)):
    """Every setting at every step, in both groups."""
    for i in range(steps):
        for own, group in zip(used(ours), optimizer.param_groups, strict=True):
            expected = {"learning_rate": group["lr"], "momentum": group.get("momentum"), "betas": group.get("betas")}
            for name in settings:
                np.testing.assert_allclose(own[name], expected[name], rtol=1e-12, atol=1e-12, err_msg=f"{name}, {i}")
        if each == "epoch":
            ours.end_epoch()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the order of steps, and an epoch argument of SequentialLR itself
            theirs.step()
        assert ours.current_learning_rate == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12, abs=1e-12)


PAIRS = {
    "step": (lambda each: StepLR(7, 0.5, each=each), lambda s, o: s.StepLR(o, 7, 0.5)),
    "milestones": (lambda each: MultiStepLR([3, 4, 90], each=each), lambda s, o: s.MultiStepLR(o, [3, 4, 90])),
    "exponential": (lambda each: ExponentialLR(0.97, each=each), lambda s, o: s.ExponentialLR(o, 0.97)),
    "warm-up": (lambda each: LinearLR(0.1, 1.0, 20, each=each), lambda s, o: s.LinearLR(o, 0.1, 1.0, 20)),
    "default warm-up": (lambda each: LinearLR(each=each), lambda s, o: s.LinearLR(o)),
    "down": (lambda each: LinearLR(1.0, 0.0, 50, each=each), lambda s, o: s.LinearLR(o, 1.0, 0.0, 50)),
    "cosine": (lambda each: CosineAnnealingLR(30, 1e-3, each=each), lambda s, o: s.CosineAnnealingLR(o, 30, 1e-3)),
    "restarts": (
        lambda each: CosineAnnealingWarmRestarts(9, eta_min=1e-3, each=each),
        lambda s, o: s.CosineAnnealingWarmRestarts(o, 9, eta_min=1e-3),
    ),
    "longer restarts": (
        lambda each: CosineAnnealingWarmRestarts(3, 2, each=each),
        lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, 2),
    ),
    "one after the other": (
        lambda each: SequentialLR(
            [LinearLR(0.1, total_iters=5, each=each), CosineAnnealingLR(60, each=each), ExponentialLR(0.9, each=each)],
            [5, 65],
        ),
        lambda s, o: s.SequentialLR(
            o, [s.LinearLR(o, 0.1, total_iters=5), s.CosineAnnealingLR(o, 60), s.ExponentialLR(o, 0.9)], [5, 65]
        ),
    ),
}


@pytest.mark.parametrize("each", ["step", "epoch"])
@pytest.mark.parametrize("name", PAIRS)
def test_a_schedule_is_pytorchs_over_a_long_run(name, each):
    torch = pytest.importorskip("torch")
    ours, theirs = PAIRS[name]
    optimizer = torch_optimizer()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schedule = theirs(torch.optim.lr_scheduler, optimizer)
    # The restarts of the cosine at its lowest point are where PyTorch's recursion loses digits.
    compare(optimizer_of(ours(each)), schedule, optimizer, 300, each)


@pytest.mark.parametrize(("rule", "own"), [(SGD, {"momentum": 0.9}), (Adam, {}), (RMSprop, {"momentum": 0.5})])
@pytest.mark.parametrize("options", [{}, {"three_phase": True}, {"anneal_strategy": "linear", "pct_start": 0.45}])
def test_one_cycle_is_pytorchs_with_momentum(rule, own, options):
    torch = pytest.importorskip("torch")
    optimizer = torch_optimizer(rule.__name__, **own)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [0.3, 0.02], 100, **options)
    ours = optimizer_of(OneCycleLR(100, **options), rule, **own)
    compare(ours, schedule, optimizer, 99, "step", ("learning_rate", "betas" if rule is Adam else "momentum"))
    end = ours.current_learning_rate
    for _ in range(20):
        used(ours)
    assert ours.current_learning_rate == end == pytest.approx(0.3 / 25 / 1e4)


@pytest.mark.parametrize("rule", [SGD, Adam])
def test_parameters_under_one_cycle_are_pytorchs(rule):
    """Momenta that change from step to step change what is kept of earlier ones."""
    torch = pytest.importorskip("torch")
    layer = Linear(3, 2, rng=0)
    theirs = {name: torch.tensor(array, requires_grad=True) for name, array in layer.parameters().items()}
    other = getattr(torch.optim, rule.__name__)(theirs.values(), lr=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(other, 0.1, 60)
    ours = rule(layer, 0.1, schedule=OneCycleLR(60), **({"momentum": 0.5} if rule is SGD else {}))
    rng = np.random.default_rng(0)
    for _ in range(59):
        gradients = {name: rng.normal(size=array.shape) for name, array in layer.parameters().items()}
        ours.step(gradients)
        for name, tensor in theirs.items():
            tensor.grad = torch.tensor(gradients[name])
        other.step()
        schedule.step()
        for name, array in layer.parameters().items():
            np.testing.assert_allclose(array, theirs[name].detach().numpy(), rtol=1e-10, atol=1e-10)


@given(
    st.lists(
        st.floats(0.01, 10) | st.sampled_from([1.0, 1.00005, 0.99995, math.inf, math.nan]), min_size=40, max_size=60
    ),
    st.sampled_from(["min", "max"]),
    st.sampled_from(["rel", "abs"]),
    st.integers(0, 3),
    st.integers(0, 2),
    st.sampled_from([0.0, 0.01, 0.05]),
)
def test_a_plateau_is_pytorchs(costs, mode, threshold_mode, patience, cooldown, min_lr):
    torch = pytest.importorskip("torch")
    optimizer = torch_optimizer()
    options = {
        "mode": mode,
        "factor": 0.7,
        "patience": patience,
        "threshold": 1e-2,
        "threshold_mode": threshold_mode,
        "cooldown": cooldown,
        "min_lr": min_lr,
        "eps": 1e-3,
    }
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
    ours = optimizer_of(ReduceLROnPlateau(**options))
    for cost in costs:
        ours.end_epoch(cost)
        theirs.step(cost)
        for own, group in zip(used(ours), optimizer.param_groups, strict=True):
            assert own["learning_rate"] == pytest.approx(group["lr"], rel=1e-12)


def test_a_plateau_of_negative_costs():
    """PyTorch's best * (1 - threshold) takes a slightly larger negative cost for a smaller one."""
    plateau = ReduceLROnPlateau(patience=0, factor=0.5, threshold=0.1)
    sgd = optimizer_of(plateau, rates=(1.0, 1.0))
    for cost, rate in ((-10.0, 1.0), (-9.5, 0.5), (-10.5, 0.25), (-11.5, 0.25), (-12.0, 0.125)):
        sgd.end_epoch(cost)
        assert sgd.current_learning_rate == rate


def test_one_schedule_in_two_optimizers():
    schedule = ReduceLROnPlateau(patience=0, factor=0.5)
    one, two = optimizer_of(schedule), optimizer_of(schedule)
    for _ in range(3):
        one.end_epoch(1.0)
    assert (one.current_learning_rate, two.current_learning_rate) == (0.075, 0.3)
    stepwise = StepLR(1, 0.5)
    one, two = optimizer_of(stepwise), optimizer_of(stepwise)
    one.end_epoch()
    assert (one.current_learning_rate, two.current_learning_rate) == (0.15, 0.3)


def test_after_a_cycle_of_momentum_it_is_what_the_optimizer_was_given():
    schedule = SequentialLR([OneCycleLR(20), StepLR(50, each="step")], [20])
    sgd = optimizer_of(schedule, momentum=0.5)
    momenta = [used(sgd)[0]["momentum"] for _ in range(25)]
    assert max(momenta[:20]) == 0.95
    assert momenta[20:] == [0.5] * 5


def test_steps_are_not_epochs():
    sgd = optimizer_of(StepLR(1, 0.5))
    for _ in range(3):
        sgd.step(ZERO)
    assert sgd.current_learning_rate == 0.3
    sgd = optimizer_of(StepLR(1, 0.5, each="step"))
    sgd.end_epoch()
    assert sgd.current_learning_rate == 0.3
    sgd.step(ZERO)
    assert sgd.current_learning_rate == 0.15


def test_a_schedule_of_ones_own():
    class Inverse(Schedule):
        def rate(self, base, count):
            return base / (1 + count)

    sgd = optimizer_of(Inverse(each="step"))
    assert [used(sgd)[0]["learning_rate"] for _ in range(3)] == [0.3, 0.15, pytest.approx(0.1)]
    with pytest.raises(NotImplementedError, match=r"Schedule lacks rate\(self, base, count\)"):
        Schedule().rate(1.0, 1)


MISTAKES = {
    "StepLR expects step_size to be a positive integer, got 0": lambda: StepLR(0),
    "StepLR expects each to be 'step' or 'epoch', got 'batch'": lambda: StepLR(1, each="batch"),
    "MultiStepLR expects increasing milestones, got [5, 3]": lambda: MultiStepLR([5, 3]),
    "MultiStepLR expects each milestone to be a positive integer, got 0": lambda: MultiStepLR([0]),
    "ExponentialLR expects gamma to be a finite number of 0 or more": lambda: ExponentialLR(-1.0),
    "LinearLR expects start_factor to be a finite number of 0 or more": lambda: LinearLR(-0.1),
    "CosineAnnealingLR expects T_max to be a positive integer, got 1.5": lambda: CosineAnnealingLR(1.5),
    "CosineAnnealingWarmRestarts expects T_mult to be a positive": lambda: CosineAnnealingWarmRestarts(3, 0),
    "SequentialLR expects one milestone fewer than schedules, got 0 for 2": lambda: SequentialLR(
        [StepLR(1), StepLR(2)], []
    ),
    "SequentialLR expects schedules that all count steps or all epochs": lambda: SequentialLR(
        [LinearLR(each="step"), StepLR(2)], [5]
    ),
    "SequentialLR expects schedules such as StepLR(10), got float": lambda: SequentialLR([0.1, StepLR(2)], [5]),
    "SequentialLR expects schedules of a fixed course, got ReduceLROnPlateau": lambda: SequentialLR(
        [StepLR(1), ReduceLROnPlateau()], [5]
    ),
    "Adagrad has no momentum to cycle": lambda: Adagrad(
        Linear(1, 1), schedule=SequentialLR([StepLR(1, each="step"), OneCycleLR(50)], [5])
    ),
    "OneCycleLR expects anneal_strategy to be 'cos' or 'linear', got 'x'": lambda: OneCycleLR(9, anneal_strategy="x"),
    "OneCycleLR expects steps for each phase, got total_steps=3": lambda: OneCycleLR(3),
    "OneCycleLR expects max_momentum from 0 to below 1, got 1.0": lambda: OneCycleLR(100, max_momentum=1.0),
    "ReduceLROnPlateau expects factor below 1, got 1.0": lambda: ReduceLROnPlateau(factor=1.0),
    "ReduceLROnPlateau expects mode to be 'min' or 'max', got 'low'": lambda: ReduceLROnPlateau("low"),
    "ReduceLROnPlateau expects threshold_mode to be 'rel' or 'abs'": lambda: ReduceLROnPlateau(threshold_mode="x"),
    "ReduceLROnPlateau expects patience to be a count, got 0.5": lambda: ReduceLROnPlateau(patience=0.5),
    "ReduceLROnPlateau looks at a cost: optimizer.end_epoch(value)": lambda: optimizer_of(
        ReduceLROnPlateau()
    ).end_epoch(),
    "SGD has momentum 0, and OneCycleLR would bring some in: pass momentum=0.95": lambda: optimizer_of(
        SequentialLR([StepLR(1, each="step"), OneCycleLR(50)], [5])
    ),
    "RMSprop has momentum 0, and OneCycleLR": lambda: RMSprop(
        Linear(1, 1), momentum=0.5, groups={"bias": {"momentum": 0.0}}, schedule=OneCycleLR(50)
    ),
}


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_refused(message):
    with pytest.raises((TypeError, ValueError)) as caught:
        MISTAKES[message]()
    assert message in str(caught.value)


def test_what_a_schedule_was_made_with_stands_in_its_repr():
    assert repr(StepLR(3)) == "StepLR(each='epoch', step_size=3, gamma=0.1)"
    assert repr(SequentialLR([LinearLR(), StepLR(3)], [5])).endswith(
        "StepLR(each='epoch', step_size=3, gamma=0.1)], milestones=[5])"
    )
