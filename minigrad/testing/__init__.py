"""Checking the rules of a layer: every law of the contract, and rules 2 and 3 against rule 1."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minigrad.testing.causes import CAUSES
    from minigrad.testing.check import check_layer, check_loss, diagnose
    from minigrad.testing.derived import derive
    from minigrad.testing.exploration import layer_test as layer_test
    from minigrad.testing.exploration import layers_in as layers_in
    from minigrad.testing.fusion import check_fusion
    from minigrad.testing.numeric import Derivative, complex_step, finite_differences
    from minigrad.testing.power import SelfCheck, selfcheck
    from minigrad.testing.report import Diagnosis, Finding, GradientContractError

# Imported on use: pytest imports this package at every start, for its plugin.
_HOMES = {
    "CAUSES": "causes",
    "Derivative": "numeric",
    "Diagnosis": "report",
    "Finding": "report",
    "GradientContractError": "report",
    "SelfCheck": "power",
    "check_fusion": "fusion",
    "check_layer": "check",
    "check_loss": "check",
    "complex_step": "numeric",
    "derive": "derived",
    "diagnose": "check",
    "finite_differences": "numeric",
    "layer_test": "exploration",
    "layers_in": "exploration",
    "selfcheck": "power",
}

__all__ = [
    "CAUSES",
    "Derivative",
    "Diagnosis",
    "Finding",
    "GradientContractError",
    "SelfCheck",
    "check_fusion",
    "check_layer",
    "check_loss",
    "complex_step",
    "derive",
    "diagnose",
    "finite_differences",
    "selfcheck",
]

LATER = {"exploration": ["layer_test", "layers_in"]}  # they need Hypothesis, which * does not


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"minigrad.testing has no attribute {name!r}")
    return getattr(import_module(f"minigrad.testing.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
