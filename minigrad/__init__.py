"""minigrad: a layer is three rules.

Write forward, backward and parameter_gradients in NumPy; composition, training and inference follow from them.  All
public names are here; each room names its own in its `__all__`.
"""

from typing import TYPE_CHECKING, Any

from minigrad import containers, derivatives, initializers, layers, losses
from minigrad.building import build
from minigrad.containers import *
from minigrad.derivatives import *
from minigrad.layer import Layer
from minigrad.losses import *
from minigrad.parameters import FlatParameters

if TYPE_CHECKING:
    from minigrad import existence as existence
    from minigrad import explaining as explaining
    from minigrad import mle as mle
    from minigrad import optim as optim
    from minigrad import pictures as pictures
    from minigrad import saving as saving
    from minigrad import training as training
    from minigrad import watching as watching
    from minigrad.derivatives import AsymmetryWarning as AsymmetryWarning
    from minigrad.derivatives import NotAnalyticWarning as NotAnalyticWarning
    from minigrad.derivatives import Scores as Scores
    from minigrad.derivatives import curvature_at as curvature_at
    from minigrad.derivatives import fisher_at as fisher_at
    from minigrad.derivatives import fisher_matrix as fisher_matrix
    from minigrad.derivatives import fisher_product as fisher_product
    from minigrad.derivatives import gauss_newton_at as gauss_newton_at
    from minigrad.derivatives import gauss_newton_matrix as gauss_newton_matrix
    from minigrad.derivatives import gauss_newton_product as gauss_newton_product
    from minigrad.derivatives import hessian as hessian
    from minigrad.derivatives import hessian_vector_product as hessian_vector_product
    from minigrad.derivatives import jacobian_vector_product as jacobian_vector_product
    from minigrad.derivatives import per_observation_gradients as per_observation_gradients
    from minigrad.derivatives import scores_at as scores_at
    from minigrad.explaining import *
    from minigrad.layers import *
    from minigrad.optim import *
    from minigrad.saving import *
    from minigrad.training import *
    from minigrad.watching import *

__version__ = "0.1.0"

__all__ = ["FlatParameters", "Layer", "build", "initializers"]
__all__ += containers.__all__
# What is loaded on use, as the rooms below are.
_inside = {name: room for room in (derivatives, layers) for names in room.LATER.values() for name in names}
__all__ += derivatives.__all__ + [name for name in _inside if _inside[name] is derivatives]
__all__ += layers.__all__
globals().update({name: getattr(layers, name) for name in layers.__all__ if name not in _inside})
__all__ += losses.__all__

# Rooms that are loaded when one of their names is first used, so that `import minigrad` takes a few milliseconds: a
# test holds these to be the names that each room says are public.
LATER = {
    "watching": [
        "find_nonfinite",
        "flow",
        "lint",
        "summary",
        "trace",
        "unused_parameters",
    ],
    "explaining": [
        "Explanation",
        "explain",
    ],
    "saving": [
        "FileError",
        "load_arrays",
        "load_model",
        "load_parameters",
        "save_arrays",
        "save_model",
        "save_parameters",
    ],
    "optim": [
        "EMA",
        "LBFGS",
        "SGD",
        "SWA",
        "Adagrad",
        "Adam",
        "AdamW",
        "Average",
        "CosineAnnealingLR",
        "CosineAnnealingWarmRestarts",
        "ExponentialLR",
        "GradientDescent",
        "LinearLR",
        "Lion",
        "Minimum",
        "MultiStepLR",
        "Newton",
        "NewtonCG",
        "OneCycleLR",
        "Optimizer",
        "RMSprop",
        "ReduceLROnPlateau",
        "Schedule",
        "SequentialLR",
        "Solver",
        "StepLR",
        "minimize_gradient_descent",
        "minimize_lbfgs",
        "minimize_newton",
        "minimize_newton_cg",
    ],
    "training": [
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
    ],
}
for _names in LATER.values():
    __all__ += _names

# Rooms whose names are used with theirs, such as `minigrad.mle.fit`.
NAMED = ("existence", "mle", "pictures")

_room_of = {name: room for room, names in LATER.items() for name in (room, *names)}


def __getattr__(name: str) -> Any:
    if name in _inside:
        globals()[name] = getattr(_inside[name], name)
        return globals()[name]
    if name not in _room_of and name not in NAMED:
        raise AttributeError(f"module 'minigrad' has no attribute {name!r}")
    from importlib import import_module

    if name in NAMED:
        return import_module(f"minigrad.{name}")
    room = _room_of[name]
    module = import_module(f"minigrad.{room}")
    globals().update({own: getattr(module, own) for own in LATER[room]})
    return module if name == room else globals()[name]


def _summary(model: Layer, input_shape: Any, *arguments: Any, **options: Any) -> Any:
    """A table of the layers of a model, for rows of `input_shape`: `minigrad.summary`."""
    from minigrad.watching import summary

    return summary(model, input_shape, *arguments, **options)


# model.summary(input_shape): a method of every layer, of a room that stands far above it, and is loaded on use.
Layer.summary = _summary


def __dir__() -> list[str]:
    return sorted({*globals(), *_inside, *_room_of, *NAMED})
