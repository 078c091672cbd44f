"""Training: how data reaches a cost."""

from minigrad.training.batches import minibatches

__all__ = ["minibatches"]
