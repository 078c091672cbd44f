"""The rules of each layer, by family."""

from typing import TYPE_CHECKING, Any

from minigrad.layers.activations import Elementwise, Identity, LogSigmoid, ReLU, Sigmoid, Tanh
from minigrad.layers.dropout import Dropout
from minigrad.layers.lazy import LazyLayer
from minigrad.layers.linear import Linear
from minigrad.layers.rectifiers import ELU, SELU, HardSigmoid, Hardtanh, LeakyReLU, PReLU
from minigrad.layers.scaling import Bias, Scale
from minigrad.layers.smooth_activations import GELU, Mish, SiLU, Softplus, Softsign
from minigrad.layers.softmax import LogSoftmax, Softmax
from minigrad.layers.structure import Flatten, Pad, Reshape, Slice, Transpose

if TYPE_CHECKING:
    from minigrad.layers.attention import ScaledDotProductAttention
    from minigrad.layers.batch_normalization import BatchNorm1d, BatchNorm2d
    from minigrad.layers.bilinear import Bilinear
    from minigrad.layers.convolution import Conv1d, Conv2d, ConvTranspose2d
    from minigrad.layers.embedding import Embedding, LearnedPositionalEncoding, PositionalEncoding
    from minigrad.layers.features import RBF, Polynomial
    from minigrad.layers.global_pooling import GlobalAveragePool, GlobalMaxPool
    from minigrad.layers.multi_head import MultiHeadAttention
    from minigrad.layers.normalization import GroupNorm, LayerNorm, RMSNorm
    from minigrad.layers.pooling import AdaptiveAvgPool1d, AdaptiveAvgPool2d, AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d
    from minigrad.layers.recurrent import GRU, LSTM, RNN
    from minigrad.layers.transformer import transformer_encoder_block

__all__ = [
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "RBF",
    "RNN",
    "SELU",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Bias",
    "Bilinear",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Elementwise",
    "Embedding",
    "Flatten",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "GroupNorm",
    "HardSigmoid",
    "Hardtanh",
    "Identity",
    "LayerNorm",
    "LazyLayer",
    "LeakyReLU",
    "LearnedPositionalEncoding",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "MaxPool1d",
    "MaxPool2d",
    "Mish",
    "MultiHeadAttention",
    "PReLU",
    "Pad",
    "Polynomial",
    "PositionalEncoding",
    "RMSNorm",
    "ReLU",
    "Reshape",
    "Scale",
    "ScaledDotProductAttention",
    "SiLU",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "Tanh",
    "Transpose",
    "transformer_encoder_block",
]

# Loaded when first used, so that `import minigrad` takes a few milliseconds.
LATER = {
    "attention": ["ScaledDotProductAttention"],
    "batch_normalization": ["BatchNorm1d", "BatchNorm2d"],
    "bilinear": ["Bilinear"],
    "convolution": ["Conv1d", "Conv2d", "ConvTranspose2d"],
    "embedding": ["Embedding", "LearnedPositionalEncoding", "PositionalEncoding"],
    "features": ["RBF", "Polynomial"],
    "global_pooling": ["GlobalAveragePool", "GlobalMaxPool"],
    "multi_head": ["MultiHeadAttention"],
    "normalization": ["GroupNorm", "LayerNorm", "RMSNorm"],
    "pooling": ["AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AvgPool1d", "AvgPool2d", "MaxPool1d", "MaxPool2d"],
    "recurrent": ["GRU", "LSTM", "RNN"],
    "transformer": ["transformer_encoder_block"],
}
_module_of = {name: module for module, names in LATER.items() for name in names}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in LATER:
        return import_module(f"minigrad.layers.{name}")
    if name not in _module_of:
        raise AttributeError(f"module 'minigrad.layers' has no attribute {name!r}")
    globals()[name] = getattr(import_module(f"minigrad.layers.{_module_of[name]}"), name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *_module_of, *LATER})
