"""I1, I10k: the perceptron of W4 with LogSoftmax on top, of one row and of 10 000, without derivatives."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks import limits
from benchmarks.run import Peer, Workload, threads
from benchmarks.workloads.models import W4, Data, jax_logits, make_data, minigrad_model, torch_model


def alone(result: Any) -> list[Any]:
    """What most steps return: logarithms of probabilities."""
    return [result]


def minigrad(data: Data) -> Peer:
    """The public API."""
    from minigrad import LogSoftmax, Sequential

    model = Sequential(*minigrad_model(data), LogSoftmax())
    return Peer(lambda: model(data.x), alone)


def by_hand(data: Data) -> Peer:
    """Hand-written NumPy."""
    *hidden, last = zip(data.parameters[::2], data.parameters[1::2], strict=True)

    def step() -> Any:
        z = data.x
        for weight, bias in hidden:
            z = z @ weight.T
            z += bias
            np.maximum(z, 0, out=z)
        z = z @ last[0].T + last[1]
        z -= z.max(axis=1, keepdims=True)
        return z - np.log(np.exp(z).sum(axis=1, keepdims=True))

    return Peer(step, alone)


def pytorch(data: Data) -> Peer:
    """PyTorch, eager, in inference mode."""
    import torch

    model = torch.nn.Sequential(*torch_model(data), torch.nn.LogSoftmax(1)).eval()
    x = torch.from_numpy(data.x)

    def step() -> Any:
        with torch.inference_mode():
            return model(x)

    return Peer(step, alone)


def jax(data: Data) -> Peer:
    """JAX, compiled, on its CPU backend."""
    import jax

    jax.config.update("jax_enable_x64", data.x.dtype == np.float64)
    parameters, x = jax.block_until_ready(jax.tree.map(jax.numpy.asarray, (data.parameters, data.x)))
    compiled = jax.jit(lambda parameters, x: jax.nn.log_softmax(jax_logits(parameters, x)))
    return Peer(lambda: jax.block_until_ready(compiled(parameters, x)), alone)


def onnx_runtime(data: Data) -> Peer:
    """ONNX Runtime, of a graph of Gemm and Relu."""
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.inter_op_num_threads = 1
    session = runtime.InferenceSession(onnx_graph(data), options, providers=["CPUExecutionProvider"])
    return Peer(lambda: session.run(None, {"x": data.x})[0], alone)


def onnx_graph(data: Data) -> bytes:
    """The model, as a file of ONNX."""
    onnx = import_module("onnx")
    helper, numpy_helper = import_module("onnx.helper"), import_module("onnx.numpy_helper")
    kind = helper.np_dtype_to_tensor_dtype(data.x.dtype)
    nodes, weights, z = [], [], "x"
    for i in range(0, len(data.parameters), 2):
        names = [f"weight{i}", f"bias{i}"]
        arrays = zip(data.parameters[i : i + 2], names, strict=True)
        weights += [numpy_helper.from_array(array, name) for array, name in arrays]
        nodes.append(helper.make_node("Gemm", [z, *names], [f"z{i}"], transB=1))
        z = f"z{i}"
        if i < len(data.parameters) - 2:
            nodes.append(helper.make_node("Relu", [z], [f"a{i}"]))
            z = f"a{i}"
    nodes.append(helper.make_node("LogSoftmax", [z], ["log_p"], axis=1))
    x = helper.make_tensor_value_info("x", kind, ["N", data.widths[0]])
    log_p = helper.make_tensor_value_info("log_p", kind, ["N", data.widths[-1]])
    graph = helper.make_graph(nodes, "perceptron", [x], [log_p], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def scikit_learn(data: Data) -> Peer:
    """scikit-learn: MLPClassifier.predict_log_proba."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(data.widths[1:-1], max_iter=1)
    classes = np.arange(data.widths[-1])
    rows = np.zeros((len(classes), data.widths[0]), data.x.dtype)
    model.partial_fit(rows, classes, classes=classes)
    for i, array in enumerate(data.parameters):
        (model.intercepts_ if i % 2 else model.coefs_)[i // 2][...] = array.T
    return Peer(lambda: model.predict_log_proba(data.x), alone)


PEERS: dict[str, Callable[[Data], Peer]] = {
    "minigrad": minigrad,
    "NumPy by hand": by_hand,
    "PyTorch": pytorch,
    "JAX": jax,
    "ONNX Runtime": onnx_runtime,
    "scikit-learn": scikit_learn,
}


def bare(data: Data) -> limits.Limit:
    """The products, and a pass over the activations."""
    parts, z = [], data.x
    for weight in data.parameters[::2]:
        product = limits.some(len(z), len(weight), dtype=z.dtype)
        parts += [limits.linear(z, weight), limits.pass_over(product)]
        z = product
    return limits.limit(parts)


WORKLOADS = [
    Workload(
        name,
        f"perceptron {'-'.join(map(str, W4))}, {rows}, inference",
        "float32",
        partial(make_data, batch, W4, "none", "float32"),
        PEERS,
        bare,
    )
    for name, rows, batch in (("I1", "one row", 1), ("I10k", "10 000 rows", 10_000))
]
