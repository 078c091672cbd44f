"""ONNX operators as layers of minigrad, so that the standard's own tests can be run on them."""

from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad as mg


class NoSuchLayerError(Exception):
    """minigrad has no layer for this operator with these attributes; says which."""


Arrays = list[np.ndarray]
OPERATORS: dict[str, Callable[[dict[str, Any], Arrays], np.ndarray]] = {}


def operator(*names: str) -> Callable:
    """Registers a function (attributes, inputs) -> output for operators."""

    def register(function: Callable) -> Callable:
        OPERATORS.update(dict.fromkeys(names, function))
        return function

    return register


def without(condition: bool, what: str) -> None:
    """No layer where `condition` holds."""
    if condition:
        raise NoSuchLayerError(what)


ACTIVATIONS: dict[str, Callable[[dict[str, Any]], mg.Layer]] = {
    "Relu": lambda a: mg.ReLU(),
    "Sigmoid": lambda a: mg.Sigmoid(),
    "Tanh": lambda a: mg.Tanh(),
    "Identity": lambda a: mg.Identity(),
    "Mish": lambda a: mg.Mish(),
    "Softplus": lambda a: mg.Softplus(),
    "Softsign": lambda a: mg.Softsign(),
    "Elu": lambda a: mg.ELU(a.get("alpha", 1.0)),
    "LeakyRelu": lambda a: mg.LeakyReLU(a.get("alpha", 0.01)),
    "Gelu": lambda a: mg.GELU(a.get("approximate", b"none").decode()),
}


@operator(*ACTIVATIONS)
def activation(attributes, inputs):
    return ACTIVATIONS[attributes["op"]](attributes)(inputs[0])


@operator("Swish")
def swish(attributes, inputs):
    """z sigmoid(alpha z)."""
    alpha = attributes.get("alpha", 1.0)
    return mg.SiLU()(alpha * inputs[0]) / np.float32(alpha)


@operator("Selu")
def selu(attributes, inputs):
    """SELU has constants of its own; with others it is a scaled ELU."""
    if not {"alpha", "gamma"} & set(attributes):
        return mg.SELU()(inputs[0])
    return np.float32(attributes.get("gamma", mg.SELU.scale)) * mg.ELU(attributes.get("alpha", mg.SELU.alpha))(
        inputs[0]
    )


@operator("HardSigmoid")
def hard_sigmoid(attributes, inputs):
    """ONNX's slope and offset are free; ours, as PyTorch's, are 1/6 and 1/2: max(0, min(1, z / 6 + 1/2))."""
    alpha, beta = attributes.get("alpha", 0.2), attributes.get("beta", 0.5)
    without(beta != 0.5 and alpha != 0.5, "another offset")
    return mg.HardSigmoid()(np.float32(6) * (np.float32(alpha) * inputs[0] + np.float32(beta - 0.5)))


@operator("Clip")
def clip(attributes, inputs):
    bounds = [float(b) if b is not None and b.size else None for b in [*inputs[1:], None, None][:2]]
    bounds = [attributes.get(name, bound) for name, bound in zip(("min", "max"), bounds, strict=True)]
    low, high = (given if given is not None else end for given, end in zip(bounds, (-3e38, 3e38), strict=True))
    without(low >= high, "bounds that cross")
    return mg.Hardtanh(low, high)(inputs[0])


@operator("PRelu")
def prelu(attributes, inputs):
    z, slope = inputs
    without(slope.size not in (1, z.shape[1]) or (slope.size > 1 and slope.shape[0] != z.shape[1]), "broadcast slopes")
    layer = mg.PReLU(slope.size)
    return layer.with_parameters({"weight": slope.reshape(-1)})(z)


@operator("LogSoftmax", "Softmax")
def softmax(attributes, inputs):
    axis = attributes.get("axis", -1 if attributes["opset"] >= 13 else 1)
    layer = mg.LogSoftmax() if attributes["op"] == "LogSoftmax" else mg.Softmax()
    z = inputs[0]
    if attributes["opset"] < 13:  # all axes from `axis` on were one
        return layer(z.reshape(int(np.prod(z.shape[:axis])), -1)).reshape(z.shape)
    return np.moveaxis(layer(np.moveaxis(z, axis, -1)), -1, axis)


@operator("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
def classification(attributes, inputs):
    z, target, *rest = inputs
    kinds = {"NegativeLogLikelihoodLoss": mg.NLLLoss, "SoftmaxCrossEntropyLoss": mg.CrossEntropyLoss}
    loss = kinds[attributes["op"]](
        attributes.get("reduction", b"mean").decode(),
        rest[0] if rest else None,
        ignore_index=attributes.get("ignore_index", -100),
    )
    scores = np.moveaxis(z, 1, -1)
    value = loss(scores, target)
    if attributes["outputs"] == 1:
        return value
    return [value, np.moveaxis(mg.LogSoftmax()(scores), -1, 1)]


def padded(z: np.ndarray, pads: list[int], value: float = 0.0) -> np.ndarray:
    """ONNX pads are all beginnings, then all ends, of the spatial axes."""
    half = len(pads) // 2
    return mg.Pad(tuple(zip(pads[:half], pads[half:], strict=True)), value)(z) if any(pads) else z


def spatial(attributes: dict[str, Any], z: np.ndarray, what: str = "volumes") -> int:
    """The number of spatial axes, 1 or 2."""
    without(z.ndim > 4, what)
    return z.ndim - 2


def same_pads(attributes: dict[str, Any], z: np.ndarray, kernel: list[int]) -> list[int]:
    """The pads of auto_pad, or those given."""
    n = z.ndim - 2
    auto = attributes.get("auto_pad", b"NOTSET").decode()
    if auto in ("NOTSET", "VALID"):
        return attributes.get("pads", [0] * 2 * n)
    strides, dilations = attributes.get("strides", [1] * n), attributes.get("dilations", [1] * n)
    total = [
        max(0, (-(-size // s) - 1) * s + (k - 1) * d + 1 - size)
        for size, s, k, d in zip(z.shape[2:], strides, kernel, dilations, strict=True)
    ]
    small, large = [t // 2 for t in total], [t - t // 2 for t in total]
    return small + large if auto == "SAME_UPPER" else large + small


@operator("Conv")
def convolution(attributes, inputs):
    z, weight, *bias = inputs
    n = spatial(attributes, z)
    pads = same_pads(attributes, z, weight.shape[2:])
    symmetric = pads[:n] == pads[n:]
    layer = (mg.Conv1d, mg.Conv2d)[n - 1](
        z.shape[1],
        len(weight),
        weight.shape[2:],
        stride=tuple(attributes.get("strides", [1] * n)),
        padding=tuple(pads[:n]) if symmetric else 0,
        dilation=tuple(attributes.get("dilations", [1] * n)),
        groups=attributes.get("group", 1),
        bias=bool(bias),
        dtype=z.dtype,
    )
    arrays = {"weight": weight} | ({"bias": bias[0]} if bias else {})
    return layer.with_parameters(arrays)(z if symmetric else padded(z, pads))


@operator("ConvTranspose")
def transposed_convolution(attributes, inputs):
    z, weight, *bias = inputs
    without(z.ndim != 4, "other than two spatial axes")
    without("output_shape" in attributes or "auto_pad" in attributes, "output_shape and auto_pad")
    pads = attributes.get("pads", [0] * 4)
    without(pads[:2] != pads[2:], "asymmetric pads")
    groups = attributes.get("group", 1)
    layer = mg.ConvTranspose2d(
        z.shape[1],
        weight.shape[1] * groups,
        weight.shape[2:],
        stride=tuple(attributes.get("strides", [1, 1])),
        padding=tuple(pads[:2]),
        output_padding=tuple(attributes.get("output_padding", [0, 0])),
        dilation=tuple(attributes.get("dilations", [1, 1])),
        groups=groups,
        bias=bool(bias),
        dtype=z.dtype,
    )
    arrays = {"weight": weight} | ({"bias": bias[0]} if bias else {})
    return layer.with_parameters(arrays)(z)


@operator("MaxPool", "AveragePool")
def pool(attributes, inputs):
    z = inputs[0]
    n = spatial(attributes, z)
    without(attributes["outputs"] > 1, "the places of the maxima")
    kernel = attributes["kernel_shape"]
    maximum = attributes["op"] == "MaxPool"
    pads = same_pads(attributes, z, kernel)
    counted = bool(attributes.get("count_include_pad", 0))
    # The layers pad both sides alike, by half the kernel at most; a layer of its own pads otherwise.
    by_itself = pads[:n] == pads[n:] and all(2 * p <= k for p, k in zip(pads[:n], kernel, strict=True))
    without(not by_itself and not maximum and not counted, "other pads that are not counted")
    options: dict[str, Any] = {"stride": tuple(attributes.get("strides", [1] * n))}
    options["padding"] = tuple(pads[:n]) if by_itself else 0
    options["ceil_mode"] = bool(attributes.get("ceil_mode", 0))
    dilation = tuple(attributes.get("dilations", [1] * n))
    if maximum:
        layer: mg.Layer = (mg.MaxPool1d, mg.MaxPool2d)[n - 1](tuple(kernel), dilation=dilation, **options)
    else:
        without(dilation != (1,) * n, "dilated averages")
        layer = (mg.AvgPool1d, mg.AvgPool2d)[n - 1](tuple(kernel), count_include_pad=counted, **options)
    return layer(z if by_itself else padded(z, pads, -np.inf if maximum else 0.0))


@operator("GlobalAveragePool", "GlobalMaxPool")
def global_pool(attributes, inputs):
    layer = mg.GlobalAveragePool() if attributes["op"] == "GlobalAveragePool" else mg.GlobalMaxPool()
    z = inputs[0]
    return layer(z).reshape(*z.shape[:2], *[1] * (z.ndim - 2))


@operator("BatchNormalization")
def batch_normalization(attributes, inputs):
    z, scale, bias, mean, variance = inputs
    without(z.ndim > 4, "volumes")
    kind = mg.BatchNorm2d if z.ndim == 4 else mg.BatchNorm1d
    momentum = 1 - attributes.get("momentum", 0.9)
    layer = kind(len(scale), eps=attributes.get("epsilon", 1e-5), momentum=momentum, dtype=z.dtype)
    layer = layer.with_parameters({"weight": scale, "bias": bias})
    layer.running_mean[...], layer.running_var[...] = mean, variance
    if not attributes.get("training_mode", 0):
        return layer(z)
    return layer.forward(z)[0]  # its running variance is unbiased, as PyTorch's, and ONNX's is not


@operator("LayerNormalization", "RMSNormalization")
def layer_normalization(attributes, inputs):
    z, scale, *bias = inputs
    axis = attributes.get("axis", -1) % z.ndim
    without(axis == 0, "the batch")
    without(scale.shape != z.shape[axis:], "broadcast scales")
    eps = attributes.get("epsilon", 1e-5)
    if attributes["op"] == "RMSNormalization":
        return mg.RMSNorm(z.shape[axis:], eps=eps).with_parameters({"weight": scale})(z)
    layer = mg.LayerNorm(z.shape[axis:], eps=eps, bias=bool(bias))
    return layer.with_parameters({"weight": scale} | ({"bias": bias[0]} if bias else {}))(z)


@operator("GroupNormalization")
def group_normalization(attributes, inputs):
    z, scale, bias = inputs
    layer = mg.GroupNorm(attributes["num_groups"], z.shape[1], eps=attributes.get("epsilon", 1e-5))
    return layer.with_parameters({"weight": scale, "bias": bias})(z)


@operator("Flatten")
def flatten(attributes, inputs):
    without(inputs[0].ndim < 2, "a batch alone")
    without(attributes.get("axis", 1) not in (1, 1 - inputs[0].ndim), "another axis than the batch kept")
    return mg.Flatten()(inputs[0])


@operator("Transpose")
def transpose(attributes, inputs):
    order = attributes.get("perm", list(range(inputs[0].ndim))[::-1])
    moved = [i for i, axis in enumerate(order) if i != axis]
    without(len(moved) != 2 or 0 in moved, "other than two axes exchanged, the batch among them")
    return mg.Transpose(*moved)(inputs[0])


@operator("Concat")
def concatenate(attributes, inputs):
    axis = attributes["axis"] % inputs[0].ndim
    without(axis == 0, "the batch")
    return mg.Concatenate(axis)(tuple(inputs))


@operator("Split")
def split(attributes, inputs):
    axis = attributes.get("axis", 0)
    sizes = inputs[1] if len(inputs) > 1 else attributes.get("split")
    without(axis == 0, "the batch")
    without(sizes is not None and len(set(np.asarray(sizes).tolist())) > 1, "uneven parts")
    without(inputs[0].shape[axis] % attributes["outputs"] != 0, "uneven parts")
    return list(mg.Split(attributes["outputs"], axis)(inputs[0]))


@operator("Gemm")
def affine(attributes, inputs):
    z, weight, *bias = inputs
    plain = not attributes.get("transA", 0) and attributes.get("alpha", 1.0) == attributes.get("beta", 1.0) == 1
    without(not plain, "scaled or transposed inputs")
    without(bool(bias) and bias[0].size != weight.shape[1 - attributes.get("transB", 0)], "broadcast biases")
    weight = weight if attributes.get("transB", 0) else weight.T.copy()
    layer = mg.Linear(weight.shape[1], len(weight), bias=bool(bias))
    return layer.with_parameters({"weight": weight} | ({"bias": bias[0].reshape(-1)} if bias else {}))(z)


@operator("Gather")
def gather(attributes, inputs):
    table, index = inputs
    without(attributes.get("axis", 0) != 0 or table.ndim != 2 or index.min() < 0, "other than rows of a table")
    return mg.Embedding(*table.shape).with_parameters({"weight": table})(index)


@operator("Dropout")
def dropout(attributes, inputs):
    without(attributes["outputs"] > 1, "the mask")
    training = len(inputs) > 2 and inputs[2] is not None and bool(inputs[2])
    ratio = float(inputs[1]) if len(inputs) > 1 and inputs[1] is not None else attributes.get("ratio", 0.5)
    without(training and ratio > 0, "another generator")
    layer = mg.Dropout(ratio)
    return layer.forward(inputs[0])[0] if training else layer(inputs[0])


@operator("Pad")
def pad(attributes, inputs):
    without(attributes.get("mode", b"constant") != b"constant", "other borders than a constant")
    without(len(inputs) > 3, "chosen axes")
    z, pads = inputs[0], (inputs[1].tolist() if len(inputs) > 1 else attributes["pads"])
    n = z.ndim
    without(pads[0] or pads[n], "a border of the batch")
    value = float(inputs[2]) if len(inputs) > 2 else attributes.get("value", 0.0)
    return padded(z, [*pads[1:n], *pads[n + 1 :]], value)
