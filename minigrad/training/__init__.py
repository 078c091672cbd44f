"""Training: from data to parameters, with a history, checkpoints, and an end that is explained."""

from minigrad.training.batches import minibatches
from minigrad.training.checkpoint import Checkpoint
from minigrad.training.evaluation import evaluate
from minigrad.training.fit import fit
from minigrad.training.history import History
from minigrad.training.run import Callback, Run
from minigrad.training.stopping import EarlyStopping
from minigrad.training.trouble import TrainingError, TrainingWarning

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "History",
    "Run",
    "TrainingError",
    "TrainingWarning",
    "evaluate",
    "fit",
    "minibatches",
]
