"""Every law for every layer, over shapes, values, parameters and memory layouts."""

import numpy as np
import pytest
from case import Case, examples
from hypothesis import given, settings
from hypothesis import strategies as st
from laws import ANY_PRECISION, LAWS, SLOW
from table import CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law, case: Case):
    examples_of_law = max(1, settings().max_examples // 2) if law in SLOW else settings().max_examples

    @settings(max_examples=examples_of_law)
    @given(st.data())
    def holds(data):
        dtypes = (np.float64, np.float32) if law in ANY_PRECISION else (np.float64,)
        law(data.draw(examples(case, dtypes), label=case.name))

    holds()
