"""Every law for every layer, over shapes, values, parameters and memory layouts."""

import numpy as np
import pytest
from case import Case, examples
from hypothesis import given
from hypothesis import strategies as st
from laws import ANY_PRECISION, LAWS
from table import CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law, case: Case):
    @given(st.data())
    def holds(data):
        dtypes = (np.float64, np.float32) if law in ANY_PRECISION else (np.float64,)
        law(data.draw(examples(case, dtypes), label=case.name))

    holds()
