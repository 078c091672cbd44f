"""Every law for every layer, over shapes, values, parameters and memory layouts."""

import numpy as np
import pytest
from case import Case, Sizes, drafts
from hypothesis import given, settings
from hypothesis import strategies as st
from laws import ANY_PRECISION, LAWS, SLOW
from table import CASES

import minigrad
from minigrad import Container, Layer

# Drawing takes longer than most laws do: so the laws of a group look at the same draws, each at a layer of its own.
GROUPS = {"derivatives": [law for law in LAWS if law in SLOW], "others": [law for law in LAWS if law not in SLOW]}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("group", GROUPS)
def test_laws(group: str, case: Case):
    slow = group == "derivatives"
    dtypes = (np.float64,) if slow else (np.float64, np.float32)

    @settings(max_examples=max(1, settings().max_examples // 2) if slow else settings().max_examples)
    @given(st.data())
    def hold(data):
        draft = data.draw(drafts(case, dtypes), label=case.name)
        for law in GROUPS[group]:
            law(draft.example() if law in ANY_PRECISION else draft.example(np.float64))

    hold()


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
