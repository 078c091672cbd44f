"""A Transformer block, composed: nothing here has rules of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.checks import require_count, require_flag, require_number
from minigrad.containers import Residual, Sequential
from minigrad.layer import Layer
from minigrad.layers.dropout import Dropout
from minigrad.layers.linear import Linear
from minigrad.layers.multi_head import MultiHeadAttention
from minigrad.layers.normalization import LayerNorm
from minigrad.layers.smooth_activations import GELU
from minigrad.typing import Seed


def transformer_encoder_block(
    embed_dim: int,
    num_heads: int,
    feedforward: int | None = None,
    dropout: float = 0.0,
    activation: Layer | None = None,
    norm_first: bool = True,
    causal: bool = False,
    *,
    rng: Seed = None,
    dtype: Any = np.float64,
) -> Sequential:
    """One block of a Transformer, (N, T, embed_dim) -> (N, T, embed_dim); PyTorch's TransformerEncoderLayer.

        norm_first            z + attention(norm z),  then  z + network(norm z)
        norm_first=False      norm(z + attention z),  then  norm(z + network z),  as in Vaswani et al., 2017

    with network = Linear(embed_dim -> feedforward), `activation`, Linear(feedforward -> embed_dim).  `feedforward` is
    4 embed_dim and `activation` GELU() unless given (PyTorch: 2048, ReLU, norm last, dropout 0.1, also on attention
    weights); dropout stands on top of attention and network alone.  A block of
    `causal=True` is that of a decoder without memory, as in GPT.

    >>> transformer_encoder_block(8, num_heads=2)
    Sequential(
      0: Residual(
        inner: Sequential(
          0: LayerNorm(8)
          1: MultiHeadAttention(8, 2 heads)
        )
      )
      1: Residual(
        inner: Sequential(
          0: LayerNorm(8)
          1: Linear(8 -> 32)
          2: GELU()
          3: Linear(32 -> 8)
        )
      )
    )
    """
    require_flag(transformer_encoder_block, "norm_first", norm_first)
    dropout = require_number(transformer_encoder_block, "dropout", dropout, least=0.0)
    rng = np.random.default_rng(rng)
    hidden = (
        4 * require_count(transformer_encoder_block, "embed_dim", embed_dim) if feedforward is None else feedforward
    )
    attention: list[Layer] = [MultiHeadAttention(embed_dim, num_heads, causal=causal, rng=rng, dtype=dtype)]
    network: list[Layer] = [
        Linear(embed_dim, hidden, rng=rng, dtype=dtype),
        GELU() if activation is None else activation,
        Linear(hidden, embed_dim, rng=rng, dtype=dtype),
    ]
    if dropout:
        attention.append(Dropout(dropout, rng))
        network.append(Dropout(dropout, rng))
    norms = [LayerNorm(embed_dim, dtype=dtype) for _ in range(2)]
    if norm_first:
        return Sequential(
            *(Residual(Sequential(n, *part)) for n, part in zip(norms, (attention, network), strict=True))
        )
    return Sequential(Residual(Sequential(*attention)), norms[0], Residual(Sequential(*network)), norms[1])
