"""minigrad: a layer is three rules.

Write forward, backward and parameter_gradients in NumPy; composition, training and inference follow from them.  All
public names are here; each room names its own in its `__all__`.
"""

from minigrad import containers, derivatives, initializers, layers, losses, optim, saving, training, watching
from minigrad.building import build
from minigrad.containers import *
from minigrad.derivatives import *
from minigrad.layer import Layer
from minigrad.layers import *
from minigrad.losses import *
from minigrad.optim import *
from minigrad.parameters import FlatParameters
from minigrad.saving import *
from minigrad.training import *
from minigrad.watching import *

__version__ = "0.1.0"

__all__ = ["FlatParameters", "Layer", "build", "initializers"]
__all__ += containers.__all__
__all__ += derivatives.__all__
__all__ += layers.__all__
__all__ += losses.__all__
__all__ += optim.__all__
__all__ += saving.__all__
__all__ += training.__all__
__all__ += watching.__all__
