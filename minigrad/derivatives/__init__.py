"""Derivatives of a cost, from the rules of its layers."""

from minigrad.derivatives.chunks import (
    value_and_gradients_in_batches,
    value_and_gradients_in_chunks,
    value_in_batches,
    value_in_chunks,
)
from minigrad.derivatives.curvature import curvature_at, hessian, hessian_vector_product
from minigrad.derivatives.gradients import value_and_gradients

__all__ = [
    "curvature_at",
    "hessian",
    "hessian_vector_product",
    "value_and_gradients",
    "value_and_gradients_in_batches",
    "value_and_gradients_in_chunks",
    "value_in_batches",
    "value_in_chunks",
]
