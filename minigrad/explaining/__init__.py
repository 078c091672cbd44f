"""Explaining a cost: its chain rule worked through, with the formulas of its layers."""

from minigrad.explaining.explanation import Explanation, explain

__all__ = ["Explanation", "explain"]
