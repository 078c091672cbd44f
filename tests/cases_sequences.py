"""Recurrent layers, attention and the Transformer block."""

import numpy as np
from case import Case, OneArray, Sizes

from minigrad import Layer
from minigrad.layers.attention import ScaledDotProductAttention
from minigrad.layers.multi_head import MultiHeadAttention
from minigrad.layers.recurrent import GRU, LSTM, RNN
from minigrad.layers.transformer import transformer_encoder_block

STEPS = 3


def sequence(s: Sizes) -> tuple[int, ...]:
    return (s.n, STEPS, s.d)


def one_step(s: Sizes) -> tuple[int, ...]:
    return (s.n, 1, s.d)


def with_states(kind: type, count: int, **options):
    """A layer of (z, h_0, ...), and its width as one array."""

    def make(s: Sizes, rng: np.random.Generator) -> Layer:
        return OneArray(kind(s.d, s.k, rng=rng, **options), [(2, s.d), *[(s.k,)] * count])

    return make, lambda s: (s.n, OneArray.width([(2, s.d), *[(s.k,)] * count]))


def seen(layer: Layer, s: Sizes) -> Layer:
    layer(np.zeros((1, 1, s.d)))
    return layer


def q_k_v(s: Sizes) -> list[tuple[int, ...]]:
    return [(2, s.d), (STEPS, s.d), (STEPS, s.k)]


def joined(shapes) -> tuple:
    return lambda s: (s.n, OneArray.width(shapes(s)))


def in_heads(s: Sizes) -> list[tuple[int, ...]]:
    return [(2, STEPS, s.d), (2, 2, s.d), (2, 2, s.k)]


def attention(shapes=q_k_v, **options):
    return lambda s, rng: OneArray(ScaledDotProductAttention(**options), shapes(s))


def embedded(s: Sizes) -> tuple[int, ...]:
    return (s.n, STEPS, 4)


def of_memory(s: Sizes) -> list[tuple[int, ...]]:
    return [(2, 2), (STEPS, 2), (STEPS, 2)]


def padding(s: Sizes, rng: np.random.Generator) -> tuple:
    """Every row may attend to the first row, and to each other with one half probability."""
    mask = rng.random((s.n, 1, STEPS)) < 0.5
    mask[..., 0] = True
    return (mask,)


def bias_of_heads(s: Sizes, rng: np.random.Generator) -> tuple:
    mask = rng.normal(size=(s.n, 2, 2, STEPS))
    mask[..., 1, 0] = -np.inf
    return (mask,)


BAND = np.abs(np.subtract.outer(np.arange(2), np.arange(STEPS))) <= 1
SLOPE = np.where(BAND, np.linspace(-1, 1, 2 * STEPS).reshape(2, STEPS), -np.inf)


def block(**options):
    return lambda s, rng: transformer_encoder_block(3, feedforward=2, rng=rng, **options)


def small(z: np.ndarray) -> np.ndarray:
    """Scores of thousands are ill-conditioned: the rounding of one decides who is attended to, or which gate opens.

    And products of numbers below 1e-6 may become denormal.
    """
    return np.where(abs(z) < 1e-6, 0, z / 16)


def varied(z: np.ndarray) -> np.ndarray:
    """Rows that are far from constant, so that LayerNorm does not divide by next to nothing."""
    return z / 16 + 3 * np.arange(3)


CASES = [
    Case("RNN", lambda s, rng: RNN(s.d, s.k, rng=rng), sequence, domain=small),
    # Of max(a + u, 0) nobody can say beforehand where the kinks are: test_recurrent.py checks it where there are none.
    Case("RNN, last", lambda s, rng: RNN(s.d, s.k, last=True, rng=rng), sequence, domain=small),
    Case("RNN with a state, without bias", *with_states(RNN, 1, bias=False), domain=small),
    Case("GRU, its width left out", lambda s, rng: seen(GRU(None, s.k, rng=rng), s), sequence, domain=small),
    Case(
        "GRU, last, without bias", lambda s, rng: GRU(s.d, s.k, bias=False, last=True, rng=rng), one_step, domain=small
    ),
    Case("GRU with a state", *with_states(GRU, 1), domain=small),
    Case("LSTM", lambda s, rng: LSTM(s.d, s.k, rng=rng), sequence, domain=small),
    Case(
        "LSTM, last, without bias",
        lambda s, rng: LSTM(s.d, s.k, bias=False, last=True, rng=rng),
        one_step,
        domain=small,
    ),
    Case("LSTM with states, last", *with_states(LSTM, 2, last=True), domain=small),
    Case("ScaledDotProductAttention", attention(), joined(q_k_v), domain=small),
    Case("ScaledDotProductAttention, causal, masked", attention(causal=True, mask=BAND), joined(q_k_v), domain=small),
    Case("ScaledDotProductAttention, biased, of padding", attention(mask=SLOPE), joined(q_k_v), padding, domain=small),
    Case("ScaledDotProductAttention of heads", attention(in_heads), joined(in_heads), domain=small),
    Case("MultiHeadAttention", lambda s, rng: MultiHeadAttention(4, 2, rng=rng), embedded, domain=small),
    Case(
        "MultiHeadAttention, causal, without bias, of padding",
        lambda s, rng: MultiHeadAttention(2, 1, False, True, rng=rng),
        lambda s: (s.n, STEPS, 2),
        padding,
        domain=small,
    ),
    Case(
        "MultiHeadAttention of (q, k, v), biased",
        lambda s, rng: OneArray(MultiHeadAttention(2, 2, mask=BAND, rng=rng), of_memory(s)),
        joined(of_memory),
        bias_of_heads,
        domain=small,
    ),
    Case("transformer_encoder_block", block(num_heads=1, causal=True), lambda s: (s.n, 2, 3), domain=varied),
    Case(
        "transformer_encoder_block, norm last",
        block(num_heads=3, norm_first=False),
        lambda s: (s.n, 2, 3),
        domain=varied,
    ),
]
