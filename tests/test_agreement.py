"""Every layer that PyTorch has too, beside PyTorch's, where it is installed: values and gradients."""

import sys
from pathlib import Path

import numpy as np
import pytest

# At the end, so that an installed minigrad comes first.
sys.path.append(str(Path(__file__).parents[1]))

from benchmarks.agreement.catalogue import TWINS
from benchmarks.agreement.twin import TOLERANCE, Twin, differences

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
