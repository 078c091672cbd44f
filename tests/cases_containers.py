"""Containers, and the joints between their branches."""

from case import Case, OneArray, Sizes
from cases_core import classifier, labels

from minigrad import (
    Add,
    Branch,
    Concatenate,
    Frozen,
    Linear,
    NLLLoss,
    Parallel,
    Repeat,
    Residual,
    Sequential,
    Split,
    Tanh,
)

WIDTHS = [(2,), (3,)]


def same(s: Sizes) -> list[tuple[int, ...]]:
    return [(2, s.d), (2, s.d), (2, s.d)]


def branches(s: Sizes, rng) -> Branch:
    return Branch(Linear(s.d, 2, rng=rng), Sequential(Linear(s.d, 2, rng=rng), Tanh()))


def branches_of_branches(s: Sizes, rng) -> Sequential:
    return Sequential(branches(s, rng), Branch(Add(), Concatenate()), Concatenate())


def shared_branches(s: Sizes, rng) -> Sequential:
    linear = Linear(s.d, s.k, rng=rng)
    return Sequential(Branch(linear, Sequential(linear, Tanh())), Add())


def two_towers(s: Sizes, rng) -> Sequential:
    return Sequential(Parallel(Linear(2, s.k, rng=rng), Linear(3, s.k, rng=rng)), Concatenate(), Tanh())


def frozen_below(s: Sizes, rng) -> Sequential:
    return Sequential(Linear(s.d, 3, rng=rng), Frozen(classifier(Sizes(s.n, 3, s.k), rng)), NLLLoss("sum"))


CASES = [
    Case("Residual", lambda s, rng: Residual(Sequential(Linear(s.d, s.d, rng=rng), Tanh()))),
    Case("Residual on sequences", lambda s, rng: Residual(Linear(s.d, s.d, rng=rng)), lambda s: (s.n, 2, s.d)),
    Case("Branch", lambda s, rng: OneArray(branches(s, rng))),
    Case(
        "Branch of branches", lambda s, rng: Sequential(branches(s, rng), Branch(Add(), Concatenate()), Concatenate())
    ),
    Case("Branch, one layer twice", shared_branches),
    Case(
        "Parallel",
        lambda s, rng: OneArray(Parallel(Linear(2, s.k, rng=rng), Tanh()), WIDTHS),
        lambda s: (s.n, OneArray.width(WIDTHS)),
    ),
    Case("Parallel, joined", lambda s, rng: OneArray(two_towers(s, rng), WIDTHS), lambda s: (s.n, 5)),
    Case("Add", lambda s, rng: OneArray(Add(), same(s)), lambda s: (s.n, OneArray.width(same(s)))),
    Case("Concatenate", lambda s, rng: OneArray(Concatenate(), WIDTHS), lambda s: (s.n, 5)),
    Case(
        "Concatenate, axis 1",
        lambda s, rng: OneArray(Concatenate(1), [(1, s.d), (2, s.d)]),
        lambda s: (s.n, 3 * s.d),
    ),
    Case("Split", lambda s, rng: OneArray(Split(2)), lambda s: (s.n, 2 * s.d)),
    Case("Split, axis 1", lambda s, rng: OneArray(Split(3, axis=1)), lambda s: (s.n, 3 * s.d, 2)),
    Case("Repeat", lambda s, rng: Repeat(Sequential(Linear(s.d, s.d, rng=rng), Tanh()), 3)),
    Case("Frozen", lambda s, rng: Frozen(Linear(s.d, s.k, rng=rng))),
    Case("Frozen between others", frozen_below, arguments=labels),
    Case("f + g", lambda s, rng: Linear(s.d, s.k, rng=rng) + (Linear(s.d, s.k, rng=rng) >> Tanh())),
]
