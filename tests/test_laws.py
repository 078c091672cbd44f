"""Every law for every layer, over shapes, values, parameters and memory layouts."""

import numpy as np
import pytest
from case import Case, Sizes, examples
from hypothesis import given, settings
from hypothesis import strategies as st
from laws import ANY_PRECISION, LAWS, SLOW
from table import CASES

import minigrad
from minigrad import Container, Layer


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


def parts(layer: Layer):
    """The layer and all layers in it."""
    yield layer
    for _, child in layer.children() if isinstance(layer, Container) else ():
        yield from parts(child)


def test_every_public_layer_is_in_the_table():
    sizes, rng = Sizes(2, 2, 2), np.random.default_rng(0)
    seen = {type(part) for case in CASES for part in parts(case.make(sizes, rng))}
    public = {getattr(minigrad, name) for name in minigrad.__all__}
    layers = {thing for thing in public if isinstance(thing, type) and issubclass(thing, Layer)}
    bases = {Layer, Container, minigrad.Elementwise, minigrad.ElementwiseLoss, minigrad.LazyLayer, minigrad.Loss}
    assert layers - bases <= seen, sorted(layer.__name__ for layer in layers - bases - seen)
