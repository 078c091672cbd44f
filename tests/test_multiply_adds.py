"""Multiply-adds of rule 1: by hand for small sizes, and as PyTorch counts them."""

import pytest

from minigrad import Linear
from minigrad.layers import (
    GRU,
    LSTM,
    RNN,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    MultiHeadAttention,
    ScaledDotProductAttention,
)

# Every product of two numbers, counted one by one.
BY_HAND = [
    (Linear(3, 4), (5, 3), 5 * 3 * 4),
    (Linear(3, 4, bias=False), (5, 2, 3), 10 * 12),
    (Conv1d(1, 1, 3), (1, 1, 5), 3 * 3),  # 3 places, 3 entries each
    (Conv1d(2, 4, 3, stride=2, padding=1), (5, 2, 6), 5 * 4 * 3 * 6),
    (Conv1d(None, 4, 1), (5, 2, 6), 5 * 4 * 6 * 2),
    (Conv2d(1, 1, 2), (1, 1, 3, 3), 4 * 4),
    (Conv2d(2, 3, (2, 3), (1, 2), dilation=(2, 1)), (4, 2, 5, 8), 4 * 3 * (3 * 3) * (2 * 2 * 3)),
    (Conv2d(4, 6, 3, padding="same", groups=2), (1, 4, 5, 5), 6 * 25 * (2 * 9)),
    (Conv2d(4, 4, 3, groups=4), (2, 4, 5, 5), 2 * 4 * 9 * 9),
    (ConvTranspose2d(1, 1, 2), (1, 1, 3, 3), 9 * 4),  # every entry, spread over 2 x 2
    (ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2), (2, 4, 5, 5), 2 * 4 * 25 * (3 * 9)),
    (RNN(3, 2), (1, 1, 3), 2 * 3 + 2 * 2),
    (RNN(3, 2), ((5, 4, 3), (5, 2)), 5 * 4 * (6 + 4)),
    (GRU(3, 2, last=True), (5, 4, 3), 5 * 4 * 3 * (6 + 4)),
    (LSTM(3, 2, bias=False), (5, 4, 3), 5 * 4 * 4 * (6 + 4)),
    (LSTM(None, 2), (5, 4, 3), 5 * 4 * 4 * (6 + 4)),
    (ScaledDotProductAttention(), ((1, 2, 3), (1, 4, 3), (1, 4, 5)), 2 * 4 * 3 + 2 * 4 * 5),
    (ScaledDotProductAttention(), ((2, 6, 2, 3), (2, 6, 4, 3), (2, 6, 4, 5)), 12 * (2 * 4 * 3 + 2 * 4 * 5)),
    (MultiHeadAttention(4, 2), (1, 3, 4), 4 * (3 * 16) + 2 * (3 * 3 * 2 + 3 * 3 * 2)),
    (
        MultiHeadAttention(4, 2),
        ((5, 3, 4), (5, 6, 4), (5, 6, 4)),
        5 * (2 * 3 * 16 + 2 * 6 * 16 + 2 * (2 * 3 * 6 * 2)),
    ),
]


@pytest.mark.parametrize(("layer", "shape", "count"), BY_HAND, ids=lambda value: repr(value))
def test_by_hand(layer, shape, count):
    assert layer.multiply_adds(shape) == count


@pytest.mark.parametrize(("layer", "shape", "count"), BY_HAND, ids=lambda value: repr(value))
def test_it_grows_with_the_batch_and_changes_nothing(layer, shape, count):
    before = {name: id(value) for name, value in vars(layer).items()}
    twice = [(2 * part[0], *part[1:]) for part in (shape if isinstance(shape[0], tuple) else (shape,))]
    assert layer.multiply_adds(tuple(twice) if isinstance(shape[0], tuple) else twice[0]) == 2 * count
    assert {name: id(value) for name, value in vars(layer).items()} == before


def counted_by_torch(module, *arrays, **options):
    """Half of the floating-point operations that PyTorch counts in its matrix products."""
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    # Of float32 some layers run as one kernel that is not counted; of float64 as the products they are made of.
    module = module(torch.nn).double()
    with counter:
        module(*(torch.ones(shape, dtype=torch.float64) for shape in arrays), **options)
    return counter.get_total_flops() / 2


CONVOLUTIONS = [
    (Conv1d(2, 4, 3, 2, 1, 2), (5, 2, 9), lambda nn: nn.Conv1d(2, 4, 3, 2, 1, 2)),
    (Conv2d(4, 6, 3, padding="same", groups=2), (3, 4, 5, 7), lambda nn: nn.Conv2d(4, 6, 3, padding="same", groups=2)),
    (Conv2d(2, 3, (2, 3), (1, 2), 1), (4, 2, 5, 8), lambda nn: nn.Conv2d(2, 3, (2, 3), (1, 2), 1)),
    (ConvTranspose2d(3, 5, 3, 2, 1, 1), (2, 3, 5, 4), lambda nn: nn.ConvTranspose2d(3, 5, 3, 2, 1, 1)),
    (
        ConvTranspose2d(4, 6, (1, 3), 2, groups=2),
        (2, 4, 5, 4),
        lambda nn: nn.ConvTranspose2d(4, 6, (1, 3), 2, groups=2),
    ),
    (Linear(3, 4), (5, 2, 3), lambda nn: nn.Linear(3, 4)),
]


@pytest.mark.parametrize(("layer", "shape", "module"), CONVOLUTIONS, ids=[repr(layer) for layer, _, _ in CONVOLUTIONS])
def test_convolutions_as_pytorch_counts(layer, shape, module):
    assert layer.multiply_adds(shape) == counted_by_torch(module, shape)


@pytest.mark.parametrize("kind", [RNN, GRU, LSTM])
@pytest.mark.parametrize("bias", [True, False])
def test_recurrent_layers_as_pytorch_counts(kind, bias):
    layer, shape = kind(3, 4, bias=bias), (2, 5, 3)
    found = counted_by_torch(lambda nn: getattr(nn, kind.__name__)(3, 4, bias=bias, batch_first=True), shape)
    assert layer.multiply_adds(shape) == found


def test_attention_as_pytorch_counts():
    q, memory = (2, 3, 4), (2, 5, 4)
    options = {"need_weights": True}  # the products one by one
    found = counted_by_torch(lambda nn: nn.MultiheadAttention(4, 2, batch_first=True), q, q, q, **options)
    assert MultiHeadAttention(4, 2).multiply_adds(q) == found
    of_memory = counted_by_torch(lambda nn: nn.MultiheadAttention(4, 2, batch_first=True), q, memory, memory, **options)
    assert MultiHeadAttention(4, 2).multiply_adds((q, memory, memory)) == of_memory
