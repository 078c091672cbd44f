"""Maximum likelihood with inference: an estimate, its errors, and a verdict before either.

    python examples/mle_inference.py

1. Challenger: logistic regression of O-ring damage on temperature, to all digits; intervals, tests, a prediction.
2. Wine: three classes. A softmax has a vector too many, and three ways to fix it give one inference.
3. Digits: the classes can be separated, so that no estimate exists. What is said instead, and what to do.
"""

import time
from pathlib import Path

import numpy as np

from minigrad import BernoulliNLLLoss, Linear, LogSoftmax, NLLLoss, Sequential
from minigrad.mle import EstimateError, fit

DATA = Path(__file__).parent / "data"
started = time.perf_counter()


def agree(found: float, wanted: float, digits: int = 10) -> bool:
    """Two numbers are the same in so many digits."""
    return abs(found - wanted) <= 10.0**-digits * abs(wanted)


print("1. Challenger: damage of O-rings in 23 flights, and the temperature of their joints\n")
flights = np.loadtxt(DATA / "challenger.csv", delimiter=",", skiprows=1)
logit = Sequential(Linear(1, 1, rng=0), BernoulliNLLLoss())
challenger = fit(logit, {"temperature": flights[:, 0]}, {"damage": flights[:, 1]})  # or columns of a DataFrame
print(challenger.summary())

# Computed once by Newton's method in 60 decimal digits: (temperature, const), standard errors, log-likelihood.
EXACT = [-0.2321627442185965, 15.042901647702441], [0.10823652164928543, 7.378636384916566], -10.157596343933414
for found, wanted in zip(
    [*challenger.params, *challenger.se, challenger.loglik], [*EXACT[0], *EXACT[1], EXACT[2]], strict=True
):
    assert agree(found, wanted, 12)
assert challenger.verdict.status == "regular"
assert challenger.verdict.check()  # the certificate that the maximum exists, in exact arithmetic
print("\nEvery number agrees with Newton's method in 60 digits to 12, and the certificate of existence holds.\n")

ratio, wald = challenger.lr_test("temperature = 0"), challenger.wald_test("temperature = 0")
print(ratio)
print(wald)
assert ratio.p < 0.005 < 0.03 < wald.p  # 23 flights are few for a normal approximation

wald_interval, profile = challenger.ci()[0], challenger.ci(kind="profile")[0]
print(f"\n95% interval of the coefficient: ({wald_interval[0]:.4f}, {wald_interval[1]:.4f}) by Wald,")
print(f"                                 ({profile[0]:.4f}, {profile[1]:.4f}) by the profile of the likelihood")
for end in profile:  # at its ends the likelihood ratio test is on the edge
    assert abs(challenger.lr_test(f"temperature = {float(end)!r}").p - 0.05) < 1e-6

launch = challenger.predict({"temperature": 31.0}, ci=True)
low, high = float(launch.lower[0]), float(launch.upper[0])
print(f"\nAt 31 F, the morning of the launch, damage has a probability of {float(launch.mean[0]):.4f};")
print(f"but 31 F is far from all flights, and its 95% interval is ({low:.4f}, {high:.4f}).")
assert agree(float(launch.mean[0]), 0.9996087829)
assert low < 0.5 < high

print("\n\n2. Wine: three cultivars by malic acid and the alcalinity of ash\n")
wine = np.loadtxt(DATA / "wine.csv", delimiter=",", skiprows=1)
columns, cultivars = ["malic acid", "alcalinity"], ["Barolo", "Grignolino", "Barbera"]
label = wine[:, 0].astype(int) - 1
softmax = Sequential(Linear(2, 3, rng=0), LogSoftmax(), NLLLoss())
fits = {
    how: fit(softmax, wine[:, 1:], {"cultivar": label}, names=columns, classes=cultivars, identification=how)
    for how in ("reference", "sum_to_zero", "minimum_norm")
}
print(fits["reference"].summary())

print(
    "\nOne vector may be added to the coefficients of all classes, so one condition is put on them. Which, changes the"
)
print("coefficients, and nothing that the data say:\n")
print(f"{'':<16}{'parameters':>12}{'log-likelihood':>18}   Grignolino and Barbera alike in malic acid?")
tests, probabilities = [], []
for how, result in fits.items():
    tests.append(result.wald_test("Grignolino:malic acid = Barbera:malic acid"))
    probabilities.append(result.predict())
    print(f"{how:<16}{len(result.names):>12}{result.loglik:>18.8f}   chi2(1) = {tests[-1].statistic:.8f}")
    assert agree(tests[-1].statistic, tests[0].statistic)
    assert np.allclose(probabilities[-1], probabilities[0], rtol=1e-10)
assert [len(result.names) for result in fits.values()] == [6, 9, 9]
beside = dict(zip(fits["sum_to_zero"].names, fits["sum_to_zero"].params, strict=True))
for name, value in zip(fits["reference"].names, fits["reference"].params, strict=True):
    cultivar, column = name.split(":")
    assert agree(beside[f"{cultivar}:{column}"] - beside[f"Barolo:{column}"], value)

effects = fits["reference"].marginal_effects()
print(f"\n{effects}")
temperature = fits["reference"].calibration().temperature
print(f"\nCalibration: the temperature of the probabilities fitted is {temperature.value:.6f} +- {temperature.se:.2f}.")
assert agree(temperature.value, 1.0)  # as it must be at a maximum


print("\n\n3. Digits: ten classes by 61 pixels\n")
digits = np.load(DATA / "digits.npz")
pixels, labels = digits["images"].astype(float), digits["labels"].astype(int)
varies = np.ptp(pixels, axis=0) > 0  # three pixels are never inked: fit refuses columns of zeros by name
x, names = pixels[:, varies], [f"pixel {j // 8},{j % 8}" for j in np.flatnonzero(varies)]
cost = Sequential(Linear(x.shape[1], 10, rng=0), LogSoftmax(), NLLLoss())
separated = fit(cost, x, labels, names=names)
print(separated.summary())
assert separated.verdict.status == "separated"
assert separated.verdict.kind == "complete"
assert separated.verdict.check()
try:
    separated.se  # noqa: B018
except EstimateError as error:
    print(f"\nWhoever asks for standard errors nevertheless is told: {str(error)[:66]}...")
else:
    raise SystemExit("standard errors of an estimate that does not exist")

# The direction can be checked by hand: along it each row's own class gains on all others.
unit = np.zeros((10, x.shape[1] + 1))
at = {f"{k}:{name}": (k, j) for k in range(10) for j, name in enumerate([*names, "const"])}
for name, value in separated.verdict.direction.items():
    unit[at[name]] = value
logits = x @ unit[:, :-1].T + unit[:, -1]
own = logits[np.arange(len(x)), labels]
others = np.where(np.eye(10, dtype=bool)[labels], -np.inf, logits).max(axis=1)
assert (own > others).all()
print(f"By hand: each of {len(x)} digits gains on all other classes, by {(own - others).min():.2g} at the least.")

prior = fit(cost, x, labels, names=names, penalty=1.0)
print("\nWith a prior there is a maximum, of the posterior; its report begins and ends with that:\n")
lines = prior.summary().splitlines()
print("\n".join([*lines[:16], "...", *lines[-4:]]))
assert prior.verdict.status == "regular"
assert any("MAP" in line for line in lines[-4:])
assert (prior.predict().argmax(axis=1) == labels).mean() > 0.99

print("\nTwo pixels in the middle are enough to separate 0 from 1; there too Firth's likelihood has a maximum:\n")
two = [names.index("pixel 4,4"), names.index("pixel 5,4")]
binary = (x[labels < 2][:, two], labels[labels < 2])
alone = Sequential(Linear(2, 1, rng=0), BernoulliNLLLoss())
first = fit(alone, *binary, names=[names[j] for j in two])
firth = fit(alone, *binary, names=[names[j] for j in two], penalty="firth")
print(first.summary(), end="\n\n")
print(firth.summary())
assert first.verdict.status == "separated"
assert firth.verdict.status == "regular"
assert np.isfinite([firth.params, firth.se]).all()

seconds = time.perf_counter() - started
print(f"\n{seconds:.1f} s in all")
