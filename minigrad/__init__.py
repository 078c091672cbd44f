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
from minigrad.layers import *
from minigrad.losses import *
from minigrad.parameters import FlatParameters

if TYPE_CHECKING:
    from minigrad import optim as optim
    from minigrad import saving as saving
    from minigrad import training as training
    from minigrad import watching as watching
    from minigrad.optim import *
    from minigrad.saving import *
    from minigrad.training import *
    from minigrad.watching import *

__version__ = "0.1.0"

__all__ = ["FlatParameters", "Layer", "build", "initializers"]
__all__ += containers.__all__
__all__ += derivatives.__all__
__all__ += layers.__all__
__all__ += losses.__all__

# Rooms that are loaded when one of their names is first used, so that `import minigrad` takes a few milliseconds: a
# test holds these to be the names that each room says are public.
LATER = {
    "watching": [
        "find_nonfinite",
        "flow",
        "unused_parameters",
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

_room_of = {name: room for room, names in LATER.items() for name in (room, *names)}


def __getattr__(name: str) -> Any:
    if name not in _room_of:
        raise AttributeError(f"module 'minigrad' has no attribute {name!r}")
    from importlib import import_module

    room = _room_of[name]
    module = import_module(f"minigrad.{room}")
    globals().update({own: getattr(module, own) for own in LATER[room]})
    return module if name == room else globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *_room_of})
