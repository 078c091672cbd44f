"""Every law for every layer, over shapes, values, parameters and memory layouts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from laws import LAWS
from table import CASES, Case, examples


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law, case: Case):
    @given(st.data())
    def holds(data):
        law(data.draw(examples(case), label=case.name))

    holds()
