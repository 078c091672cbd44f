"""Softmax, sigmoid and their costs in 400 decimal digits, from the definitions alone."""

from collections.abc import Callable
from decimal import Context, Decimal, localcontext
from functools import wraps

# 1 + e^-700 needs 304 digits to differ from 1; exponents of 1e300 need room.
PRECISE = Context(prec=400, Emin=-(10**15), Emax=10**15)


def precisely(function: Callable) -> Callable:
    """Run in that context whatever the caller's is: contexts belong to threads."""

    @wraps(function)
    def inside(*arguments):
        with localcontext(PRECISE):
            return function(*arguments)

    return inside


@precisely
def exact_log_softmax(z) -> list[Decimal]:
    """log p_k = z_k - log sum_j e^{z_j}, shifted so that the exponents stay representable."""
    numbers = [Decimal(float(value)) for value in z]
    largest = max(numbers)
    total = sum((number - largest).exp() for number in numbers)
    return [number - largest - total.ln() for number in numbers]


@precisely
def exact_softmax(z) -> list[Decimal]:
    return [log_p.exp() for log_p in exact_log_softmax(z)]


@precisely
def exact_sigmoid(a) -> Decimal:
    return 1 / (1 + (-Decimal(float(a))).exp())


@precisely
def exact_bernoulli_nll(logit, label: int) -> Decimal:
    """log(1 + e^-a) for label 1, log(1 + e^a) for label 0."""
    a = Decimal(float(logit))
    return (1 + (-a if label else a).exp()).ln()


@precisely
def absolute_error(found, expected: Decimal) -> float:
    return float(abs(Decimal(float(found)) - expected))


@precisely
def relative_error(found, expected: Decimal) -> float:
    if expected == 0:
        return 0.0 if float(found) == 0 else float("inf")
    return float(abs(Decimal(float(found)) - expected) / abs(expected))
