"""Derivatives of a cost, from the rules of its layers."""

from typing import TYPE_CHECKING, Any

from minigrad.derivatives.chunks import (
    value_and_gradients_in_batches,
    value_and_gradients_in_chunks,
    value_in_batches,
    value_in_chunks,
)
from minigrad.derivatives.gradients import gradient, value_and_gradients

if TYPE_CHECKING:
    from minigrad.derivatives.analytic import NotAnalyticWarning as NotAnalyticWarning
    from minigrad.derivatives.asymmetry import AsymmetryWarning as AsymmetryWarning
    from minigrad.derivatives.curvature import curvature_at as curvature_at
    from minigrad.derivatives.curvature import hessian as hessian
    from minigrad.derivatives.curvature import hessian_vector_product as hessian_vector_product
    from minigrad.derivatives.gauss_newton import fisher_at as fisher_at
    from minigrad.derivatives.gauss_newton import fisher_matrix as fisher_matrix
    from minigrad.derivatives.gauss_newton import fisher_product as fisher_product
    from minigrad.derivatives.gauss_newton import gauss_newton_at as gauss_newton_at
    from minigrad.derivatives.gauss_newton import gauss_newton_matrix as gauss_newton_matrix
    from minigrad.derivatives.gauss_newton import gauss_newton_product as gauss_newton_product
    from minigrad.derivatives.jacobians import jacobian_vector_product as jacobian_vector_product
    from minigrad.derivatives.scores import Scores as Scores
    from minigrad.derivatives.scores import per_observation_gradients as per_observation_gradients
    from minigrad.derivatives.scores import scores_at as scores_at

__all__ = [
    "gradient",
    "value_and_gradients",
    "value_and_gradients_in_batches",
    "value_and_gradients_in_chunks",
    "value_in_batches",
    "value_in_chunks",
]

# Public too, and loaded when first used, so that `import minigrad` takes a few milliseconds.
LATER = {
    "analytic": ["NotAnalyticWarning"],
    "asymmetry": ["AsymmetryWarning"],
    "curvature": ["curvature_at", "hessian", "hessian_vector_product"],
    "gauss_newton": [
        "fisher_at",
        "fisher_matrix",
        "fisher_product",
        "gauss_newton_at",
        "gauss_newton_matrix",
        "gauss_newton_product",
    ],
    "jacobians": ["jacobian_vector_product"],
    "scores": ["Scores", "per_observation_gradients", "scores_at"],
}
_module_of = {name: module for module, names in LATER.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _module_of:
        raise AttributeError(f"module 'minigrad.derivatives' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"minigrad.derivatives.{_module_of[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_module_of})
