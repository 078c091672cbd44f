"""Files: arrays, parameters and models in the safetensors format, verified before anything is loaded."""

from minigrad.saving.container import load_arrays, save_arrays
from minigrad.saving.errors import FileError
from minigrad.saving.models import load_model, save_model
from minigrad.saving.parameters import load_parameters, save_parameters

__all__ = [
    "FileError",
    "load_arrays",
    "load_model",
    "load_parameters",
    "save_arrays",
    "save_model",
    "save_parameters",
]
