r"""The formulas of windows, evaluated as they are written, index by index, against the rules.

Read here by a few lines of their own: products of X_{i, j}, [i = j], \frac{1}{m} and sums or maxima over indices.
"""

import re

import numpy as np
import pytest

from minigrad.layers import (
    AdaptiveAvgPool1d,
    AvgPool1d,
    AvgPool2d,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    GlobalAveragePool,
    GlobalMaxPool,
    MaxPool1d,
    MaxPool2d,
)
from minigrad.layers.windows import Window

FACTOR = re.compile(
    r"""\\(?P<over>sum|max)_(?:\{(?P<indices>[^{}]*)\}|(?P<index>\w))
      | \\?(?P<name>[A-Za-z])_(?:\{(?P<at>[^{}]*)\}|(?P<one>\w))
      | \[(?P<left>[^=\]]+)\ =\ (?P<right>[^\]]+)\]
      | \\frac\{1\}\{(?P<share>\w+)\}
      | \s+""",
    re.VERBOSE,
)


def in_python(formula):
    """A product, and what is added to it, as an expression of Python."""
    if " + b_" in formula:
        product, _, letter = formula.partition(" + b_")
        return f"{in_python(product)} + entry(b, {letter})"
    found = FACTOR.match(formula)
    assert found is not None, formula
    assert found.end(), formula
    rest = formula[found.end() :]
    if found["over"]:
        loops = "".join(f" for {i} in range(size_of_{i})" for i in (found["indices"] or found["index"]).split(", "))
        return f"{found['over']}({in_python(rest)}{loops})"
    factor = "1"
    if found["name"]:
        factor = f"entry({found['name']}, {multiplied(found['at'] or found['one'])})"
    elif found["left"]:
        factor = f"({multiplied(found['left'])} == {of_array(multiplied(found['right']))})"
    elif found["share"]:
        factor = f"1 / {found['share']}"
    return f"{factor} * {in_python(rest)}" if rest else factor


def of_array(indices):
    """m_{n, c} is an entry, r + i a number."""
    return re.sub(r"(\w)_\{([^{}]*)\}", r"entry(\1, \2)", indices)


def multiplied(indices):
    return re.sub(r"(\d) ([a-z])", r"\1 * \2", indices)


def everywhere(formula, letters, shape, arrays, sizes):
    """A formula at every entry of an array of `shape`, whose axes these letters count; arrays go on as 0, or -inf."""
    beyond = -np.inf if r"\max" in formula else 0.0

    def entry(array, *place):
        inside = all(0 <= i < size for i, size in zip(place, array.shape, strict=True))
        return array[place] if inside else beyond

    names = (
        arrays | {f"size_of_{letter}": size for letter, size in sizes.items()} | {"entry": entry, "P": sizes.get("P")}
    )
    code = compile(in_python(formula), formula, "eval")
    places = np.ndindex(*shape)
    return np.reshape([eval(code, names | dict(zip(letters, place, strict=True))) for place in places], shape)


def by_rules(layer, z, seed=0):
    z_next, cache = layer.forward(z)
    delta = np.random.default_rng(seed).normal(size=z_next.shape)
    return z_next, delta, *layer.backpropagate(delta, cache)


CONVOLUTIONS = [
    (Conv1d(2, 3, 3, 2, 3, 2, rng=0), (2, 2, 6)),
    (Conv1d(2, 1, 2, bias=False, rng=0), (1, 2, 4)),
    (Conv2d(2, 2, (3, 2), (2, 1), (2, 0), (1, 2), rng=0), (1, 2, 3, 4)),
    (Conv2d(1, 2, 2, padding="same", rng=0), (2, 1, 3, 2)),
    (ConvTranspose2d(2, 3, 3, 2, 1, 1, rng=0), (1, 2, 3, 2)),
    (ConvTranspose2d(1, 2, (1, 2), (1, 3), dilation=2, bias=False, output_padding=(1, 0), rng=0), (2, 1, 2, 2)),
]


@pytest.mark.parametrize(("layer", "shape"), CONVOLUTIONS, ids=lambda value: repr(value))
def test_convolutions(layer, shape):
    z = np.random.default_rng(1).normal(size=shape)
    z_next, delta, dz, gradients = by_rules(layer, z)
    transposed, rank = isinstance(layer, ConvTranspose2d), layer.rank
    arrays = {"z": z, "d": delta, "W": layer.weight, "b": layer.bias}
    few, many = (z, z_next) if transposed else (z_next, z)  # on windows, and on what they slide over
    sizes = {"n": len(z), "o": z_next.shape[1], "c": z.shape[1]}
    sizes |= dict(zip("rs", few.shape[2:], strict=False)) | dict(zip("hw", many.shape[2:], strict=False))
    sizes |= dict(zip("ij", layer.kernel_size, strict=False))
    windows, places, entries = "rs"[:rank], "hw"[:rank], "ij"[:rank]
    below, above = (windows, places) if transposed else (places, windows)
    rules = layer.formulas
    weight = ("co" if transposed else "oc") + entries
    assert np.allclose(everywhere(rules.forward, "no" + above, z_next.shape, arrays, sizes), z_next)
    assert np.allclose(everywhere(rules.backward, "nc" + below, z.shape, arrays, sizes), dz)
    found = everywhere(rules.gradients["weight"], weight, layer.weight.shape, arrays, sizes)
    assert np.allclose(found, gradients["weight"])
    if layer.bias is not None:
        assert np.allclose(everywhere(rules.gradients["bias"], "o", (sizes["o"],), arrays, sizes), gradients["bias"])
    assert set(rules.gradients) == set(rules.symbols) == set(gradients)


@pytest.mark.parametrize(
    "layer",
    [
        Conv2d(4, 6, (2, 1), 2, 1, groups=2, rng=0),
        Conv1d(3, 3, 2, groups=3, rng=0),
        ConvTranspose2d(4, 6, (1, 2), 2, groups=2, rng=0),
    ],
    ids=repr,
)
def test_convolutions_in_groups(layer):
    """Each group is a convolution of its own: g_o is where the channels of the group of o start."""
    z = np.random.default_rng(1).normal(size=(2, layer.in_channels, 3, 2)[: 2 + layer.rank])
    z_next, delta, dz, gradients = by_rules(layer, z)
    transposed, rank, rules = isinstance(layer, ConvTranspose2d), layer.rank, layer.formulas
    few, many = (z, z_next) if transposed else (z_next, z)
    first, second = "co" if transposed else "oc"
    shape = layer.weight.shape
    sizes = {"n": len(z), first: shape[0], second: shape[1]}
    sizes |= dict(zip("rs", few.shape[2:], strict=False)) | dict(zip("ij", layer.kernel_size, strict=False))
    sizes |= dict(zip("hw", many.shape[2:], strict=False))

    def start(text):
        """g of the first index, written out."""
        return re.sub(rf"\bg_{first}\b", f"({first} // {shape[0] // layer.groups} * {shape[1]})", text)

    arrays = {"z": z, "d": delta, "W": layer.weight, "b": layer.bias}
    windows, places = "rs"[:rank], "hw"[:rank]
    gathered, spread = (rules.backward, rules.forward) if transposed else (rules.forward, rules.backward)
    of_gathered, of_spread = (dz, z_next) if transposed else (z_next, dz)
    assert np.allclose(everywhere(start(gathered), f"n{first}{windows}", of_gathered.shape, arrays, sizes), of_gathered)
    assert np.allclose(everywhere(start(spread), f"nm{places}", of_spread.shape, arrays, sizes), of_spread)
    letters = first + second + "ij"[:rank]
    found = everywhere(start(rules.gradients["weight"]), letters, shape, arrays, sizes)
    assert np.allclose(found, gradients["weight"])


POOLS = [
    (AvgPool1d(3, 2, 1), (2, 2, 6)),
    (AvgPool2d((2, 3), 1), (1, 2, 3, 4)),
    (MaxPool1d(2, 1, 1), (2, 1, 4)),
    (MaxPool2d((3, 2), (2, 1), 1, (1, 2)), (1, 2, 4, 3)),
]


@pytest.mark.parametrize(("layer", "shape"), POOLS, ids=lambda value: repr(value))
def test_pools(layer, shape):
    z = np.random.default_rng(1).permutation(np.prod(shape)).reshape(shape) / 4 - 1
    z_next, delta, dz, _ = by_rules(layer, z)
    arrays = {"z": z, "d": delta}
    sizes = dict(zip("rs", z_next.shape[2:], strict=False)) | dict(zip("ij", layer.kernel_size, strict=False))
    windows, places = "rs"[: layer.rank], "hw"[: layer.rank]
    rules = layer.formulas
    assert np.allclose(everywhere(rules.forward, "nc" + windows, z_next.shape, arrays, sizes), z_next)
    if isinstance(layer, AvgPool1d | AvgPool2d):
        assert np.allclose(everywhere(rules.backward, "nc" + places, z.shape, arrays, sizes), dz)


@pytest.mark.parametrize("layer", [GlobalAveragePool(), GlobalMaxPool()], ids=repr)
def test_global_pools(layer):
    z = np.random.default_rng(1).normal(size=(2, 3, 5))
    z_next, delta, dz, _ = by_rules(layer, z)
    arrays, sizes = {"z": z, "d": delta, "m": z.argmax(axis=2)}, {"p": 5, "P": 5}
    assert np.allclose(everywhere(layer.formulas.forward, "nc", z_next.shape, arrays, sizes), z_next)
    assert np.allclose(everywhere(layer.formulas.backward, "ncp", z.shape, arrays, sizes), dz)


@pytest.mark.parametrize(
    "window", [Window(3, 2, 1, 1), Window(2, 3, 2, 0, 2), Window(1), Window(4, 1, 0, 2, 3)], ids=repr
)
def test_places_of_windows_are_those_of_the_rules(window):
    """`place` against `parts`: which entry of the axis is entry i of window r."""
    seen = set()
    for i in range(window.size):
        for r in range(window.count(9)):
            at = eval(multiplied(window.place("r", "i")), {"r": r, "i": i})
            seen |= {(r, at)} if 0 <= at < 9 else set()
    expected = {
        (r, at)
        for of_windows, of_entries in window.parts(9)
        for r, at in zip(range(*of_windows.indices(99)), range(*of_entries.indices(9)), strict=False)
    }
    assert seen == expected


def test_windows_that_cover_evenly_are_counted():
    assert "one of 4 windows" in AdaptiveAvgPool1d(4).formulas.where
