"""Recurrent layers, attention and the Transformer block, beside PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.agreement.twin import Pair, Twin
from minigrad import Layer, ReLU
from minigrad.layers.attention import ScaledDotProductAttention
from minigrad.layers.multi_head import MultiHeadAttention
from minigrad.layers.recurrent import GRU, LSTM, RNN
from minigrad.layers.smooth_activations import GELU
from minigrad.layers.transformer import transformer_encoder_block
from minigrad.testing.variants import moved_off


def recurrent(kind: Any, with_states: bool) -> Callable[[np.random.Generator], Pair]:
    """RNN, GRU or LSTM: any sizes, with or without bias, every output or the last."""

    def draw(rng: np.random.Generator) -> Pair:
        import torch

        # Of a few numbers, all may happen to cancel, and nothing but rounding be left.
        rows, times, width, hidden = rng.integers((2, 1, 2, 4), 9).tolist()
        bias, last = bool(rng.integers(2)), bool(rng.integers(2))
        options = {"nonlinearity": str(rng.choice(["tanh", "relu"]))} if kind is RNN else {}
        ours = kind(width, hidden, bias=bias, last=last, rng=rng, **options)
        theirs = getattr(torch.nn, kind.__name__)(width, hidden, bias=bias, batch_first=True, **options)
        z = rng.normal(size=(rows, times, width))
        if not with_states:
            return Pair(ours, theirs, z, result=lambda found: found[0][:, -1] if last else found[0])
        states = tuple(rng.normal(size=(rows, hidden)) for _ in ours.states)
        names = {name: f"inner.{name}" for name in ours.parameters()}
        return Pair(ours, _with_states(theirs, last), (z, *states), names=names)

    return draw


def _with_states(inner: Any, last: bool) -> Any:
    """PyTorch's layer with states of our shape: theirs has an axis of layers before the batch."""
    import torch

    class WithStates(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, z: Any, *states: Any) -> Any:
            states = tuple(state[None] for state in states)
            outputs = self.inner(z, states if len(states) > 1 else states[0])[0]
            return outputs[:, -1] if last else outputs

    return WithStates()


def _mask(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray | None:
    """None, booleans or numbers, which leave every row something to attend to."""
    allowed = rng.random(shape) < 0.6
    allowed[..., :2] = True  # over one key alone the derivative is 0, and what is left of it rounding
    return (None, allowed, np.where(allowed, rng.normal(size=shape), -np.inf))[rng.integers(3)]


def attention(rng: np.random.Generator) -> Pair:
    """The function: with heads or without, causal, a mask of all batches, or one for this batch."""
    import torch

    rows, of_q, of_k, e, f = rng.integers((1, 1, 2, 1, 1), 7).tolist()
    lead = (rows, *rng.integers(1, 4, rng.integers(2)).tolist())
    z = tuple(rng.normal(size=(*lead, *shape)) for shape in ((of_q, e), (of_k, e), (of_k, f)))
    if rng.integers(2):
        causal = bool(rng.integers(2))
        mask = None if causal else _mask(rng, (of_q, of_k))
        ours: Layer = ScaledDotProductAttention(causal, mask)
        arguments: tuple[Any, ...] = ()
    else:
        ours, causal = ScaledDotProductAttention(), False
        mask = _mask(rng, (rows, *(1,) * (len(lead) - 1), int(rng.choice([1, of_q])), of_k))
        arguments = (mask,) if mask is not None else ()

    def theirs(q: Any, k: Any, v: Any, *_: Any) -> Any:
        given = None if mask is None else torch.tensor(mask)
        given = given if given is None or given.dtype == torch.bool else given.to(q.dtype)
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=given, is_causal=causal)

    return Pair(ours, theirs, z, arguments)


def multi_head(rng: np.random.Generator) -> Pair:
    """Self-attention and attention to a memory, with the masks of both frameworks."""
    import torch

    heads, rows, of_q, of_k = rng.integers((1, 1, 2, 2), 5).tolist()
    embed, bias, alone = heads * int(rng.integers(1, 4)), bool(rng.integers(2)), bool(rng.integers(2))
    of_k = of_q if alone else of_k
    causal = bool(rng.integers(2))
    mask = None if causal else _mask(rng, (of_q, of_k))
    of_batch = rng.random((rows, *((), (1,), (heads,))[rng.integers(3)], 1, of_k)) < 0.6
    of_batch[..., :2] = True
    ours = moved_off(MultiHeadAttention(embed, heads, bias, causal, mask, rng=rng), rng)
    inner = torch.nn.MultiheadAttention(embed, heads, bias=bias, batch_first=True)

    class Theirs(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, *parts: Any) -> Any:
            q, k, v = parts[:1] * 3 if alone else parts[:3]
            # Its booleans say "may not attend"; its mask has one axis for the batch and the heads.
            hidden = torch.zeros(of_q, of_k, dtype=q.dtype)
            if mask is not None or causal:
                given = torch.tensor(mask) if mask is not None else torch.ones(of_q, of_k, dtype=torch.bool).tril()
                hidden = torch.where(given, 0.0, -torch.inf) if given.dtype == torch.bool else given
            padding = torch.where(parts[-1], 0.0, -torch.inf)
            padding = padding if padding.ndim == 4 else padding[:, None]
            both = (hidden + padding).expand(rows, heads, of_q, of_k).reshape(-1, of_q, of_k)
            return self.inner(q, k, v, attn_mask=both.to(q.dtype), need_weights=False)[0]

    z: Any = rng.normal(size=(rows, of_q, embed))
    if not alone:
        z = (z, *rng.normal(size=(2, rows, of_k, embed)))
    return Pair(ours, Theirs(), z, (of_batch,), {name: f"inner.{name}" for name in ours.parameters()})


def encoder_block(norm_first: bool) -> Callable[[np.random.Generator], Pair]:
    """The block: TransformerEncoderLayer without dropout."""

    def draw(rng: np.random.Generator) -> Pair:
        import torch

        heads, rows, times, hidden = rng.integers((1, 2, 2, 4), 9).tolist()
        embed = heads * int(rng.integers(-(-8 // heads), 10))  # LayerNorm of few features divides by next to nothing
        activation = (ReLU(), GELU())[rng.integers(2)]
        causal = bool(rng.integers(2))
        ours = moved_off(
            transformer_encoder_block(
                embed, heads, hidden, activation=activation, norm_first=norm_first, causal=causal, rng=rng
            ),
            rng,
        )
        options = {"dropout": 0.0, "batch_first": True, "norm_first": norm_first}
        layer = torch.nn.TransformerEncoderLayer(
            embed, heads, hidden, activation=type(activation).__name__.lower(), **options
        )

        class Theirs(torch.nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.inner = layer

            def forward(self, z: Any) -> Any:
                mask = torch.nn.Transformer.generate_square_subsequent_mask(times, dtype=z.dtype) if causal else None
                return self.inner(z, src_mask=mask)

        names = {ours: f"inner.{theirs}" for ours, theirs in NAMES[norm_first].items()}
        return Pair(ours, Theirs(), rng.normal(size=(rows, times, embed)), names=names)

    return draw


def _names(places: dict[str, str]) -> dict[str, str]:
    """{our parameter: theirs} from {our place: theirs}."""
    of_attention = ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")
    return {
        f"{ours}.{name}": f"{theirs}.{name}"
        for ours, theirs in places.items()
        for name in (of_attention if theirs == "self_attn" else ("weight", "bias"))
    }


NAMES = {
    True: _names(
        {
            "0.inner.0": "norm1",
            "0.inner.1": "self_attn",
            "1.inner.0": "norm2",
            "1.inner.1": "linear1",
            "1.inner.3": "linear2",
        }
    ),
    False: _names(
        {"0.inner.0": "self_attn", "1": "norm1", "2.inner.0": "linear1", "2.inner.2": "linear2", "3": "norm2"}
    ),
}

TWINS = [
    *(Twin(kind.__name__, recurrent(kind, False)) for kind in (RNN, GRU, LSTM)),
    *(Twin(f"{kind.__name__} with states", recurrent(kind, True)) for kind in (RNN, GRU, LSTM)),
    Twin("ScaledDotProductAttention", attention),
    Twin("MultiHeadAttention", multi_head),
    Twin("transformer_encoder_block, norm first", encoder_block(True)),
    Twin("transformer_encoder_block, norm last", encoder_block(False)),
]
