"""Every layer that PyTorch has too, beside PyTorch's, where it is installed: values and gradients."""

import sys
from pathlib import Path

import numpy as np
import pytest

# At the end, so that an installed minigrad comes first.
sys.path.append(str(Path(__file__).parents[1]))

from test_laws import parts

import minigrad
from benchmarks.agreement.catalogue import TWINS
from benchmarks.agreement.twin import TOLERANCE, Pair, Twin, differences
from minigrad import Linear

DRAWS = 30


@pytest.mark.filterwarnings("ignore")  # of PyTorch, about its own arguments
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.name)
def test_values_and_gradients_equal_pytorchs(twin: Twin, dtype: str):
    pytest.importorskip("torch")
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        apart = differences(twin.draw(rng), dtype, rng)
        assert max(apart.values()) <= TOLERANCE[dtype], (seed, apart)


def test_every_layer_of_a_name_that_pytorch_knows_is_compared():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    seen = {type(part).__name__ for twin in TWINS for _ in range(30) for part in parts(twin.draw(rng).ours)}
    ours = {name for name in minigrad.__all__ if isinstance(getattr(minigrad, name), type)}
    theirs = {name for name in ours if hasattr(torch.nn, name)}
    assert theirs - {"Sequential", "Container"} <= seen, theirs - seen


class WrongLinear(Linear):
    """Off by 1e-9; its outputs exchanged; as float32; a gradient that is no number."""

    how = ""

    def forward(self, z):
        z_next, cache = super().forward(z)
        if self.how == "value":
            z_next = z_next * (1 + 1e-9)
        return z_next[:, ::-1] if self.how == "order" else z_next, cache

    def backward(self, delta, z):
        dz = super().backward(delta, z)
        return dz.astype(np.float32) if self.how == "type" else dz[:1] if self.how == "shape" else dz

    def parameter_gradients(self, delta, z):
        nan = {"bias": self.bias * np.nan} if self.how == "nan" else {}
        return super().parameter_gradients(delta, z) | nan


@pytest.mark.parametrize("how", ["value", "order", "type", "shape", "nan"])
def test_a_difference_is_seen(how):
    torch = pytest.importorskip("torch")
    layer = WrongLinear(3, 2, rng=0)
    pair = Pair(layer, torch.nn.Linear(3, 2), np.random.default_rng(0).normal(size=(4, 3)))
    assert max(differences(pair, "float64", np.random.default_rng(0)).values()) <= 1e-12
    layer.how = how
    assert max(differences(pair, "float64", np.random.default_rng(0)).values()) > 1e-12
