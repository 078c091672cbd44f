import os

# One BLAS thread, before NumPy is loaded: the suite tests threads of its own.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "default",
    deadline=None,
    max_examples=30,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=500, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(autouse=True)
def fusions_as_they_were():
    """What a test, or the code of a document, adds to the table of fusions is gone after it."""
    from minigrad.fusions import table

    before = dict(table._table)
    yield
    if table._table != before:
        table._table.clear()
        table._table.update(before)
        table._plans.clear()
