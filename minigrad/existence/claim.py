"""Claim: an answer in plain values and exact fractions, which any program can check against the data."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from minigrad.existence.certificate import EXACT, Existence, Multipliers, Settled, settled
from minigrad.existence.cone import Cone, Observations
from minigrad.existence.interior import interior
from minigrad.existence.problem import Problem
from minigrad.existence.readable import in_numbers
from minigrad.typing import Array

SOME = (4, 16)  # times as many observations as parameters are tried first
BITS = 12  # of multipliers that may be anything near

SAYS = {
    "softmax": "U_k = x V_k, V_0 = 0; a row of class t says U_t - U_k >= 0 for every other class k",
    "sigmoid": "U_1 = x V, U_0 = 0; y = 1 says U_1 - U_0 >= 0, y = 0 says U_0 - U_1 >= 0, between them both",
    "poisson": "U_1 = x V, U_0 = 0; every row says U_0 - U_1 >= 0, and a count above 0 also U_1 - U_0 >= 0",
}
SUM = "the sum of value (U_label - U_against) over the multipliers is 0 for every V"
PROVES = {
    "exists": f"{SUM}, values are positive, and the inequalities `independent` are as many as V has entries: so all of "
    "them are 0 on what satisfies all, V = 0, and no direction is left",
    "complete": "every inequality is strict along the direction",
    "quasi": "no inequality is broken along the direction, and those of `strict`, rows by the class against, are "
    f"strict; {SUM}, values are positive, and all inequalities that are not strict are combinations of theirs: so no "
    "direction makes those strict",
}


def claim(
    found: Existence, x: Array, target: Any, names: Sequence[str], labels: Sequence[str], **options: Any
) -> dict[str, Any]:
    """What an answer says and proves, as JSON has it: numbers that are to be exact are fractions in text, "1/3".

    `columns` of x, "const" being 1, are those of V; rows and classes count from 0; the direction has names as `named`
    gives them.  Multipliers are few: of the observations that matter most, where these do.  Of more than 160 parameters
    they are floating-point numbers, and sum to 0 but for rounding: `exact` says so.
    """
    given = {"classes": None, "bias": True, "weights": None, "free": None} | options
    cone = Problem.of(x, target, found.likelihood, **given).cone
    plain: dict[str, Any] = {
        "kind": found.kind,
        "likelihood": found.likelihood,
        "classes": list(labels) if found.likelihood == "softmax" else ["0", "1"],
        "columns": [names[k] for k in found.null.kept.tolist()],
        "says": SAYS[found.likelihood],
        "proves": PROVES.get(found.kind, ""),
        "not_proven": found.message,
    }
    if found.kind in ("complete", "quasi"):
        plain["direction"] = {name: str(value) for name, value in named(found, names, labels).items()}
    if found.kind == "quasi":
        against = range(cone.classes)
        plain["strict"] = {str(k): np.flatnonzero(found.strict_pairs[:, k]).tolist() for k in against}
    if found.kind == "exists" or (found.kind == "quasi" and not found.message):
        plain |= _multipliers(cone, found.multipliers or Multipliers.none(), found.kind == "exists")
    return plain


def named(found: Existence, names: Sequence[str], labels: Sequence[str]) -> dict[str, Fraction]:
    """The direction by column, and of a softmax beside the first class, by "label:column"; no entry of 0."""
    assert found.exact_direction is not None
    if found.likelihood != "softmax":
        entries = dict(zip(names, found.exact_direction[0].tolist(), strict=True))
    else:
        beside = found.exact_direction - found.exact_direction[0]
        of_units = zip(labels[1:], beside[1:].tolist(), strict=True)
        entries = {f"{label}:{name}": v for label, unit in of_units for name, v in zip(names, unit, strict=True)}
    return {name: value for name, value in zip(entries, in_numbers(list(entries.values())), strict=True) if value}


def least_margin(direction: Array, x: Array, strict_pairs: Array) -> float:
    """The least strict U_t - U_k along a direction (K, D) or (K, D + 1), over the sum of its |terms|, in numbers."""
    least, block = np.inf, 4096
    direction = direction if len(direction) > 1 else np.vstack([0 * direction, direction])
    rows = np.flatnonzero(strict_pairs.any(axis=1))
    for i in range(0, len(rows), block):
        of_x, strict = x[rows[i : i + block]].astype(float), strict_pairs[rows[i : i + block]]
        if direction.shape[1] > of_x.shape[1]:
            of_x = np.column_stack([of_x, np.ones(len(of_x))])
        with np.errstate(all="ignore"):
            u, parts = of_x @ direction.T, np.abs(of_x) @ np.abs(direction).T
            own = np.where(strict, np.inf, u).argmin(axis=1)[:, np.newaxis]  # what is not strict is as high as t
            margin = np.take_along_axis(u, own, 1) - u
            relative = margin / (np.take_along_axis(parts, own, 1) + parts)
        least = min(least, float(np.where(np.isnan(relative), -np.inf, relative).min(initial=np.inf, where=strict)))
    return least


def _multipliers(cone: Cone, multipliers: Multipliers, free: bool) -> dict[str, Any]:
    """Row, label, against, value; and which of the inequalities are `independent`."""
    few = _fewer(cone, multipliers) if free else multipliers
    if cone.size > EXACT:
        plain = [repr(float(v)) if isinstance(v, float) else str(v) for v in multipliers.value.tolist()]
        return {"multipliers": _listed(multipliers, plain), "exact": not free}
    found: Settled | None = None
    for tried in (few._replace(value=_short(few.value)) if few.value.dtype.kind == "f" else few, few, multipliers):
        found = settled(cone, tried)
        if found is not None and (not free or len(found.basis) == cone.size):
            few = tried
            break
    if found is None:
        return {}
    values = [str(v) for v in found.values]
    return {"multipliers": _listed(few, values), "independent": sorted(map(int, found.basis)), "exact": True}


def _listed(multipliers: Multipliers, values: list[str]) -> dict[str, Any]:
    row, label, against = (part.tolist() for part in multipliers[:3])
    return {"row": row, "label": label, "against": against, "value": values}


def _fewer(cone: Cone, multipliers: Multipliers) -> Multipliers:
    """Of fewer observations, those whose multipliers were largest, if these alone hold the maximum."""
    if not len(multipliers.row) or multipliers.value.dtype.kind != "f":
        return multipliers
    key, inverse = np.unique(multipliers.row * cone.classes + multipliers.label, return_inverse=True)
    seen = Observations(key // cone.classes, key % cone.classes)
    design = cone.design(seen)
    weight = np.bincount(inverse, multipliers.value) * np.sqrt((design**2).sum(axis=1))
    order = np.argsort(-weight, kind="stable")
    for times in SOME:
        if times * cone.size >= len(key):
            break
        places = np.sort(order[: times * cone.size])
        inside = interior(design[places], seen.label[places], cone.classes)
        if inside.proven:
            return Multipliers.of(seen.taken(places), inside.multipliers)
    return multipliers


def _short(values: Array) -> Array:
    """To a few binary digits each."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(np.ldexp(mantissa, BITS)), exponent - BITS)
