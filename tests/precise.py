"""Softmax, its logarithm and its cost in 400 decimal digits, from the definitions alone."""

from decimal import Decimal, getcontext

getcontext().prec = 400  # 1 + e^-700 needs 304 digits to differ from 1
getcontext().Emin, getcontext().Emax = -(10**15), 10**15


def exact_log_softmax(z) -> list[Decimal]:
    """log p_k = z_k - log sum_j e^{z_j}, shifted so that the exponents stay representable."""
    numbers = [Decimal(float(value)) for value in z]
    largest = max(numbers)
    total = sum((number - largest).exp() for number in numbers)
    return [number - largest - total.ln() for number in numbers]


def exact_softmax(z) -> list[Decimal]:
    return [log_p.exp() for log_p in exact_log_softmax(z)]


def exact_bernoulli_nll(logit, label: int) -> Decimal:
    """log(1 + e^-a) for label 1, log(1 + e^a) for label 0."""
    a = Decimal(float(logit))
    return (1 + (-a if label else a).exp()).ln()


def relative_error(found, expected: Decimal) -> float:
    if expected == 0:
        return 0.0 if float(found) == 0 else float("inf")
    return float(abs(Decimal(float(found)) - expected) / abs(expected))
