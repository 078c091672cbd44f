"""Verdict: does the estimate exist, is it one, and was it found?  Said before any number is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

STATUSES = ("regular", "near_separated", "separated", "not_identified", "not_converged", "boundary")


class Certificate(Protocol):
    """What proves a verdict."""

    def check(self, verdict: Verdict) -> bool:
        """It holds for the data, and the verdict says what follows."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""


class EstimateError(ValueError):
    """A number was asked for that does not exist; `verdict` says why."""

    def __init__(self, message: str, verdict: Verdict) -> None:
        super().__init__(message)
        self.verdict = verdict


@dataclass(frozen=True)
class Verdict:
    """What is to be said before numbers are, by its `status`.

    regular          the estimate exists, is one, and was found
    near_separated   the same, but hardly: `rows` are all that holds it
    separated        the likelihood rises without end along `direction`: no estimate exists
    not_identified   directions along which the likelihood does not change: see `null_vectors`, `estimable`
    not_converged    the search ended before the maximum
    boundary         the likelihood rises towards a place at infinity or at the edge of what parameters may be
    """

    status: str
    message: str  # what it means, and what to do
    kind: str | None = None  # of a separation: "complete" or "quasi"
    direction: dict[str, float] = field(default_factory=dict)  # by the names of the listing
    rows: list[int] = field(default_factory=list)  # that are strict in a separation, or that hold a near one
    class_pairs: list[tuple[str, str]] = field(default_factory=list)  # that the direction tells apart
    null_vectors: list[dict[str, float]] = field(default_factory=list)
    estimable: dict[str, bool] = field(default_factory=dict)  # of each parameter listed
    certificate: Certificate | None = None  # None where the model is none that it knows
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def exists(self) -> bool:
        """There are estimates and standard errors to print, of what is estimable."""
        return self.status in ("regular", "near_separated", "not_identified")

    def check(self) -> bool:
        """The certificate holds for the data, in exact arithmetic, and what is said here follows from it.

        Of a separation that is all, and so are null_vectors and estimable; that an estimate hardly exists, or was
        found, is no matter of exact arithmetic.  False where there is no certificate.
        """
        return self.certificate is not None and self.certificate.check(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them; the certificate is such that programs can check it with fractions alone.

        certificate = {"statement": text, "claims": [one for each likelihood, see `minigrad.existence.claim`]}
        """
        plain = {name: value for name, value in self.__dict__.items() if name not in ("certificate", "details")}
        return {**plain, "certificate": None if self.certificate is None else self.certificate.to_dict()}

    def __str__(self) -> str:
        return f"{self.status}: {self.message}"
