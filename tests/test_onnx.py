"""The ONNX standard's own operator tests, where the `onnx` package is installed: models and outputs from outside.

They come in two parts: those that the package keeps as files, exported from PyTorch, and those that it generates.
"""

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from onnx_layers import OPERATORS, NoSuchLayerError, without

# Tests of these that minigrad passes, at the least: fewer means that a layer no longer corresponds.
LEAST = {
    "LogSoftmax": 10,
    "NegativeLogLikelihoodLoss": 18,
    "SoftmaxCrossEntropyLoss": 34,
    "Conv": 20,
    "BatchNormalization": 6,
    "MaxPool": 12,
    "AveragePool": 10,
}


def cases():
    """(name, model, inputs, outputs) of every test whose model is a single operator that is in OPERATORS."""
    onnx = pytest.importorskip("onnx")
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the generators
        generated = collect_testcases(None)
    for case in generated:
        if case.model is not None:
            for inputs, outputs in case.data_sets:
                yield case.name, case.model, list(inputs), list(outputs)
    for folder in sorted((Path(onnx.__file__).parent / "backend" / "test" / "data").glob("*/test_*")):
        for data in sorted(folder.glob("test_data_set_*")):
            if (folder / "model.onnx").exists():
                parts = [
                    [read(data / f"{kind}_{i}.pb") for i in range(len(list(data.glob(f"{kind}_*.pb"))))]
                    for kind in ("input", "output")
                ]
                yield f"{folder.parent.name}/{folder.name}", onnx.load(folder / "model.onnx"), *parts


def read(path: Path) -> np.ndarray:
    import onnx

    return onnx.numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))


def operands(node, model, inputs):
    """The operator's inputs, from those of the model and its constants; None for one that is left out."""
    from onnx import numpy_helper

    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in values]
    values |= dict(zip(names, inputs, strict=False))
    return [values[name] if name else None for name in node.input]


def test_operator_tests_of_the_standard():
    onnx = pytest.importorskip("onnx")
    passed, left_out, wrong = Counter(), {}, {}
    for name, model, inputs, outputs in cases():
        nodes = model.graph.node
        if len(nodes) != 1 or nodes[0].op_type not in OPERATORS:
            continue
        node = nodes[0]
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        attributes |= {"op": node.op_type, "outputs": len(node.output), "opset": model.opset_import[0].version}
        try:
            given = operands(node, model, inputs)
            without(not isinstance(given[0], np.ndarray), "sequences and optional values")
            without(given[0].dtype.kind != "f", "integers")
            found = OPERATORS[node.op_type](attributes, given)
        except NoSuchLayerError as reason:
            left_out[name] = f"{node.op_type}: {reason}"
            continue
        found = found if isinstance(found, list) else [found]
        # The first output; what follows in training are statistics, whose definition is another one.
        try:
            for array, expected in zip(found, outputs, strict=False):
                expected = np.asarray(expected)
                assert array.shape == expected.shape
                np.testing.assert_allclose(array, expected, rtol=1e-3, atol=1e-5)
        except AssertionError as error:
            wrong[name] = error
        passed[node.op_type] += name not in wrong
    print(passed, "\n".join(f"{name}: {why}" for name, why in left_out.items()), sep="\n")
    assert not wrong, "\n".join(f"{name}: {error}" for name, error in wrong.items())
    assert not {op: (passed[op], least) for op, least in LEAST.items() if passed[op] < least}
