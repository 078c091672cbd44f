"""Attention against its equations written as loops; masks, and the Transformer block that is made of it."""

import math

import numpy as np
import pytest

from minigrad import Linear, ReLU, Residual, Sequential
from minigrad.layers.attention import ScaledDotProductAttention
from minigrad.layers.dropout import Dropout
from minigrad.layers.multi_head import MultiHeadAttention
from minigrad.layers.normalization import LayerNorm
from minigrad.layers.transformer import transformer_encoder_block

rng = np.random.default_rng(0)
N, T, S, E, F = 2, 4, 5, 3, 2
Q, K, V = rng.normal(size=(N, T, E)), rng.normal(size=(N, S, E)), rng.normal(size=(N, S, F))
SOME = rng.random((T, S)) < 0.6
SOME[:, 2] = True
SLOPE = rng.normal(size=(T, S))


def by_hand(q, k, v, allowed=None, bias=None):
    """softmax(q k^T / sqrt(E) + bias) v over the pairs that are allowed, one row of q at a time."""
    out = np.zeros((*q.shape[:-1], v.shape[-1]))
    for row in np.ndindex(q.shape[:-1]):
        keys = [s for s in range(k.shape[-2]) if allowed is None or allowed[row[-1], s]]
        scores = [sum(q[row] * k[(*row[:-1], s)]) / math.sqrt(q.shape[-1]) for s in keys]
        weights = [math.exp(a + (0 if bias is None else bias[row[-1], s])) for a, s in zip(scores, keys, strict=True)]
        out[row] = sum(w * v[(*row[:-1], s)] for w, s in zip(weights, keys, strict=True)) / sum(weights)
    return out


def same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_a_mean_of_values_weighted_by_the_scores():
    same(ScaledDotProductAttention()((Q, K, V)), by_hand(Q, K, V))
    heads = tuple(rng.normal(size=(N, 3, length, width)) for length, width in ((T, E), (S, E), (S, F)))
    same(ScaledDotProductAttention()(heads), by_hand(*heads))


def test_masks_of_booleans_of_numbers_and_of_time():
    z = (Q, K, V)
    time = np.arange(S) <= np.arange(T)[:, np.newaxis]
    hidden = np.where(SOME, SLOPE, -np.inf)
    same(ScaledDotProductAttention(mask=SOME)(z), by_hand(*z, SOME))
    same(ScaledDotProductAttention(mask=SLOPE)(z), by_hand(*z, None, SLOPE))
    same(ScaledDotProductAttention(mask=hidden)(z), by_hand(*z, SOME, SLOPE))
    same(ScaledDotProductAttention(causal=True)(z), by_hand(*z, time))
    same(ScaledDotProductAttention()(z, SOME[np.newaxis]), by_hand(*z, SOME))
    # All that are given hold.
    both = (SOME | (np.arange(S) == 0)) & time
    layer = ScaledDotProductAttention(causal=True, mask=SLOPE)
    same(layer(z, (SOME | (np.arange(S) == 0))[np.newaxis]), by_hand(*z, both, SLOPE))


def test_padding_is_as_if_it_were_not_there():
    layer = ScaledDotProductAttention()
    padding = np.array([[True] * 3 + [False] * 2, [True] * 5])[:, np.newaxis]
    y, cache = layer.forward((Q, K, V), padding)
    same(y[0], by_hand(Q[:1], K[:1, :3], V[:1, :3])[0])
    same(y[1], by_hand(Q[1:], K[1:], V[1:])[0])
    delta = rng.normal(size=y.shape)
    dq, dk, dv = layer.backward(delta, cache)
    assert not dk[0, 3:].any()
    assert not dv[0, 3:].any()
    cut = layer.backward(delta[:1], layer.forward((Q[:1], K[:1, :3], V[:1, :3]))[1])
    for found, expected in zip((dq[:1], dk[:1, :3], dv[:1, :3]), cut, strict=True):
        same(found, expected)


def test_long_sequences_are_masked_as_short_ones():
    """The softmax of long rows goes another way."""
    q, k, v = (rng.normal(size=(1, 200, 3)) for _ in range(3))
    layer = ScaledDotProductAttention(causal=True)
    y, cache = layer.forward((q, k, v))
    same(y, by_hand(q, k, v, np.tri(200, dtype=bool)))
    delta = np.zeros_like(y)
    delta[0, 99] = 1
    _, dk, dv = layer.backward(delta, cache)
    assert dv[0, :100].all()
    assert not dv[0, 100:].any()
    assert not dk[0, 100:].any()


def test_equal_scores_give_the_mean():
    y, cache = ScaledDotProductAttention().forward((np.zeros_like(Q), K, V))
    same(y, np.broadcast_to(V.mean(axis=1, keepdims=True), y.shape))
    delta = rng.normal(size=y.shape)
    dq, dk, dv = ScaledDotProductAttention().backward(delta, cache)
    same(dv, np.broadcast_to(delta.sum(axis=1, keepdims=True) / S, dv.shape))
    assert not dk.any()
    centred = V - V.mean(axis=1, keepdims=True)
    same(dq, np.einsum("nte,nse,nsd->ntd", delta, centred, K) / S / math.sqrt(E))


def test_scores_of_any_size():
    with np.errstate(all="raise", under="ignore"):
        y, cache = ScaledDotProductAttention(causal=True).forward((1e6 * Q, 1e6 * K, V))
        parts = ScaledDotProductAttention().backward(np.ones_like(y), cache)
    assert np.isfinite(y).all()
    assert all(np.isfinite(part).all() for part in parts)
    assert np.isin(y[0, 0], V[0, 0]).all()


@pytest.mark.parametrize("mask", [SOME, np.where(SOME, SLOPE, -np.inf)])
def test_masked_scores_stay_finite_in_complex_numbers(mask):
    layer = ScaledDotProductAttention(mask=mask)
    z = tuple(part + 1e-3j * rng.normal(size=part.shape) for part in (Q, K, V))
    y, cache = layer.forward(z)
    parts = layer.backward(np.ones_like(y), cache)
    assert np.isfinite(y).all()
    assert all(np.isfinite(part).all() for part in parts)
    assert abs(y.real - layer((Q, K, V))).max() < 1e-4


def test_a_mask_leaves_the_precision_as_it_is():
    z = tuple(part.astype(np.float32) for part in (Q, K, V))
    layer = ScaledDotProductAttention(mask=SLOPE)
    y, cache = layer.forward(z, np.where(SOME, 0, -1e300)[np.newaxis])  # -1e300 is -inf in float32
    assert y.dtype == np.float32
    assert {part.dtype for part in layer.backward(y, cache)} == {np.dtype(np.float32)}
    np.testing.assert_allclose(y, by_hand(Q, K, V, SOME, SLOPE), rtol=1e-5, atol=1e-6)


def test_a_layer_keeps_its_mask():
    mask = SOME.copy()
    layer = ScaledDotProductAttention(mask=mask)
    mask[:] = True
    same(layer((Q, K, V)), by_hand(Q, K, V, SOME))


def test_a_row_that_may_attend_to_nothing_is_refused():
    nothing = SOME.copy()
    nothing[[1, 3]] = False
    message = (
        r"expects every row of q to attend to one row of k or more, got a mask that leaves none for row \[0, 1\] "
        r"and 4 rows in all: let padding attend to itself"
    )
    for mask in (nothing, np.where(nothing, 0, -np.inf)):
        with pytest.raises(ValueError, match=message):
            ScaledDotProductAttention(mask=mask)((Q, K, V))
        with pytest.raises(ValueError, match=message):
            ScaledDotProductAttention()((Q, K, V), mask[np.newaxis])
    # Two masks that each leave something may leave nothing together: row 0 sees k_0 alone, which is padding.
    with pytest.raises(ValueError, match=r"leaves none for row \[0, 0\] and 2 rows in all"):
        ScaledDotProductAttention(causal=True)((Q, K, V), np.arange(S)[np.newaxis, np.newaxis] > 0)


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (
            SOME,
            ValueError,
            r"expects a mask of shape \(2, 4, 5\), where an axis may be 1, got \(4, 5\): mask\[np.newax",
        ),
        (
            np.ones((N, S), bool),
            ValueError,
            r"got \(2, 5\): padding of shape \(N, S\) goes in as mask\[:, np.newaxis, :\]",
        ),
        (
            np.ones((N, S, T), bool),
            ValueError,
            r"got \(2, 5, 4\): one number for each pair of a row of q and a row of k",
        ),
        (np.ones((3, 1, S), bool), ValueError, r"got \(3, 1, 5\): one number for each pair"),
        (
            np.ones((N, T, S), int),
            TypeError,
            r"expects a mask to be an array of booleans, .*got ndarray of int64.*np.asarray\(mask",
        ),
        ([[True]], TypeError, "expects a mask to be an array of booleans, .*got list"),
        (np.full((N, T, S), np.nan), ValueError, r"expects a mask without NaN and \+inf: 0 leaves a score as it is"),
        (np.full((N, T, S), np.inf), ValueError, r"expects a mask without NaN and \+inf"),
    ],
)
def test_wrong_masks_are_told_what_is_expected(mask, error, message):
    with pytest.raises(error, match=message):
        ScaledDotProductAttention().forward((Q, K, V), mask)
    with pytest.raises(error, match=message):
        MultiHeadAttention(4, 2).forward((np.ones((N, T, 4)), np.ones((N, S, 4)), np.ones((N, S, 4))), mask)


def test_wrong_masks_of_all_batches_are_told_what_is_expected():
    with pytest.raises(
        ValueError, match=r"expects mask of shape \(T, S\), got \(2, 4, 5\): a mask for one batch is an a"
    ):
        ScaledDotProductAttention(mask=np.ones((N, T, S), bool))
    with pytest.raises(ValueError, match=r"expects mask of shape \(T, S\), got \(5,\): one row for each row of q"):
        ScaledDotProductAttention(mask=np.ones(S, bool))
    with pytest.raises(TypeError, match=r"ScaledDotProductAttention expects a mask to be .*got ndarray of int64"):
        ScaledDotProductAttention(mask=np.ones((T, S), int))
    with pytest.raises(ValueError, match=r"mask of shape \(4, 5\), where an axis may be 1, got \(5, 4\)"):
        ScaledDotProductAttention(mask=np.ones((S, T), bool))((Q, K, V))
    with pytest.raises(TypeError, match="expects causal to be True or False, got ndarray of bool"):
        ScaledDotProductAttention(SOME)


@pytest.mark.parametrize(
    ("z", "error", "message"),
    [
        (Q, TypeError, r"expects z = \(q, k, v\) to be a tuple of 3 arrays, got one array of shape"),
        ((Q, K), ValueError, r"to be a tuple of 3 arrays, got 2"),
        ((Q, K, [1.0]), TypeError, "expects v to be a NumPy array, got list"),
        ((Q, K.astype(int), V), TypeError, "expects k of a floating type, got int64"),
        ((Q[0], K[0], V[0]), ValueError, "the first axis is the batch, the last but one the sequence"),
        ((Q[:1], K, V), ValueError, r"got \(1, 4, 3\), \(2, 5, 3\) and \(2, 5, 2\): all axes but the last two agree"),
        ((Q, K[..., :2], V), ValueError, "q and k have one width E, 1 or more"),
        ((Q[..., :0], K[..., :0], V), ValueError, "q and k have one width E, 1 or more"),
        ((Q, K, V[:, :3]), ValueError, "k and v have one length S, 1 or more"),
        ((Q, K[:, :0], V[:, :0]), ValueError, "k and v have one length S, 1 or more"),
    ],
)
def test_wrong_inputs_are_told_what_is_expected(z, error, message):
    with pytest.raises(error, match=message):
        ScaledDotProductAttention().forward(z)


def test_wrong_deltas_are_told_what_is_expected():
    _, cache = ScaledDotProductAttention().forward((Q, K, V))
    with pytest.raises(ValueError, match=r"delta of the shape of its output, \(2, 4, 2\), got \(2, 4, 3\)"):
        ScaledDotProductAttention().backward(np.ones((N, T, E)), cache)


def of_heads(layer, q, k, v, **masks):
    """Each head by slices of the weights, from the sums of products."""
    e, d = layer.embed_dim, layer.embed_dim // layer.num_heads
    parts = []
    for head in range(layer.num_heads):
        rows = [slice(block * e + head * d, block * e + (head + 1) * d) for block in range(3)]
        projected = []
        for r, z in zip(rows, (q, k, v), strict=True):
            part = np.einsum("nte,de->ntd", z, layer.in_proj_weight[r])
            projected.append(part if layer.in_proj_bias is None else part + layer.in_proj_bias[r])
        parts.append(by_hand(*projected, **masks))
    y = np.einsum("nte,de->ntd", np.concatenate(parts, axis=-1), layer.out_proj.weight)
    return y if layer.out_proj.bias is None else y + layer.out_proj.bias


def attending(*arguments, **options):
    """A layer whose biases are not zero."""
    layer = MultiHeadAttention(*arguments, rng=rng, **options)
    return layer.with_parameters({name: rng.normal(size=a.shape) for name, a in layer.parameters().items()})


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("heads", [1, 2, 6])
def test_heads_attend_each_for_itself(heads, bias):
    layer = attending(6, heads, bias)
    z, memory = rng.normal(size=(N, T, 6)), rng.normal(size=(N, S, 6))
    values = rng.normal(size=(N, S, 6))
    same(layer(z), of_heads(layer, z, z, z))
    same(layer((z, memory, values)), of_heads(layer, z, memory, values))


def test_masks_of_heads():
    layer, z = attending(4, 2, mask=SOME[:, :T] | np.eye(T, dtype=bool)), rng.normal(size=(N, T, 4))
    allowed = layer.attention.mask
    same(layer(z), of_heads(layer, z, z, z, allowed=allowed))
    plain = MultiHeadAttention(4, 2).with_parameters(layer.parameters())
    same(plain(z, allowed[np.newaxis]), layer(z))
    same(plain(z, np.broadcast_to(allowed, (N, 2, T, T))), layer(z))
    of_second = np.stack([np.ones((T, T), bool), allowed])[np.newaxis]
    assert abs(plain(z, of_second) - layer(z)).max() > 1e-3  # the first head is free
    causal = attending(4, 2, causal=True)
    later = z.copy()
    later[:, 2:] = 7
    assert np.array_equal(causal(later)[:, :2], causal(z)[:, :2])
    assert abs(causal(later)[:, 2:] - causal(z)[:, 2:]).max() > 1e-3


def test_attention_to_oneself_is_that_of_three_times_z():
    layer, z = attending(6, 3), rng.normal(size=(N, T, 6))
    y, cache = layer.forward(z)
    y3, cache3 = layer.forward((z, z, z))
    same(y3, y)
    delta = rng.normal(size=y.shape)
    dz, gradients = layer.backpropagate(delta, cache)
    dz3, gradients3 = layer.backpropagate(delta, cache3)
    same(dz, sum(dz3))
    for name, gradient in gradients.items():
        same(gradients3[name], gradient)


def test_the_order_of_a_sequence_does_not_matter():
    layer, z, order = attending(6, 3), rng.normal(size=(N, T, 6)), [2, 0, 3, 1]
    same(layer(z[:, order]), layer(z)[:, order])


def test_parameters_have_the_names_shapes_and_start_of_pytorch():
    layer = MultiHeadAttention(96, 4, rng=0)
    parameters = layer.parameters()
    assert {name: a.shape for name, a in parameters.items()} == {
        "in_proj_weight": (288, 96),
        "in_proj_bias": (288,),
        "out_proj.weight": (96, 96),
        "out_proj.bias": (96,),
    }
    bound = math.sqrt(6 / (288 + 96))
    assert 0.99 * bound < np.abs(layer.in_proj_weight).max() <= bound
    assert 0.99 / math.sqrt(96) < np.abs(layer.out_proj.weight).max() <= 1 / math.sqrt(96)
    assert not layer.in_proj_bias.any()
    assert not layer.out_proj.bias.any()
    assert list(MultiHeadAttention(4, 2, bias=False).parameters()) == ["in_proj_weight", "out_proj.weight"]
    assert layer.in_proj_weight.dtype == np.float64
    assert {a.dtype for a in MultiHeadAttention(4, 2, dtype=np.float32).parameters().values()} == {np.dtype("f4")}


def test_no_rows_and_no_steps():
    layer = MultiHeadAttention(4, 2, causal=True)
    y, cache = layer.forward(np.zeros((0, T, 4)))
    assert y.shape == (0, T, 4)
    dz, gradients = layer.backpropagate(y, cache)
    assert dz.shape == (0, T, 4)
    assert not any(gradient.any() for gradient in gradients.values())
    memory = np.ones((N, S, 4))
    assert layer((np.zeros((N, 0, 4)), memory, memory)).shape == (N, 0, 4)
    with pytest.raises(ValueError, match="S of 1 or more"):
        layer(np.zeros((N, 0, 4)))


def test_heads_and_widths_that_do_not_fit():
    with pytest.raises(
        ValueError, match="embed_dim to be a multiple of num_heads, got 12 and 5: 12 divides by 1, 2, 3, 4, 6"
    ):
        MultiHeadAttention(12, 5)
    with pytest.raises(ValueError, match="MultiHeadAttention expects num_heads to be a positive integer, got 0"):
        MultiHeadAttention(4, 0)
    layer = MultiHeadAttention(4, 2)
    with pytest.raises(
        ValueError, match=r"z of shape \(batch, sequence, 4\), got \(2, 3, 5\): Linear brings it to that"
    ):
        layer(np.ones((2, 3, 5)))
    with pytest.raises(ValueError, match=r"got \(3, 4\): z\[np.newaxis\] is a batch of one"):
        layer(np.ones((3, 4)))
    with pytest.raises(ValueError, match=r"expects k of shape \(batch, sequence, 4\), got \(2, 3, 5\)"):
        layer((np.ones((2, 3, 4)), np.ones((2, 3, 5)), np.ones((2, 3, 4))))
    with pytest.raises(ValueError, match="tuple of 3 arrays, got 2"):
        layer((np.ones((2, 3, 4)), np.ones((2, 3, 4))))
    with pytest.raises(ValueError, match=r"\(2, 2, 3, 3\), where an axis may be 1, got \(2, 3, 3, 3\)"):
        layer.forward(np.ones((2, 3, 4)), np.ones((2, 3, 3, 3), bool))


def test_reprs_say_what_is_not_the_default():
    assert repr(ScaledDotProductAttention()) == "ScaledDotProductAttention()"
    assert repr(ScaledDotProductAttention(True, SOME)) == "ScaledDotProductAttention(causal, mask (4, 5))"
    assert repr(MultiHeadAttention(6, 2)) == "MultiHeadAttention(6, 2 heads)"
    assert repr(MultiHeadAttention(6, 2, False, True)) == "MultiHeadAttention(6, 2 heads, bias=False, causal)"


def test_a_block_is_the_layers_it_is_made_of():
    z = rng.normal(size=(N, T, 6))
    block = transformer_encoder_block(6, 2, feedforward=5, activation=ReLU(), rng=0)
    attention, network = (part.inner for part in block)
    assert [type(part).__name__ for part in network] == ["LayerNorm", "Linear", "ReLU", "Linear"]
    assert network[1].weight.shape == (5, 6)
    after = z + attention[1](attention[0](z))
    same(block(z), after + network[3](network[2](network[1](network[0](after)))))
    last = transformer_encoder_block(6, 2, norm_first=False, causal=True, rng=0)
    assert [type(part).__name__ for part in last] == ["Residual", "LayerNorm", "Residual", "LayerNorm"]
    assert last[2].inner[0].weight.shape == (24, 6)
    assert last[0].inner[0].attention.causal
    assert [name for name in last.parameters() if name[:2] in ("1.", "3.")] == [
        "1.weight",
        "1.bias",
        "3.weight",
        "3.bias",
    ]
    same(last(z).mean(axis=-1), np.zeros((N, T)))


def test_dropout_stands_on_top_of_both_parts_and_is_off_at_inference():
    for norm_first in (True, False):
        block = transformer_encoder_block(6, 2, dropout=0.5, norm_first=norm_first, rng=0)
        parts = [part.inner for part in block if isinstance(part, Residual)]
        assert [isinstance(part[-1], Dropout) for part in parts] == [True, True]
        plain = transformer_encoder_block(6, 2, norm_first=norm_first, rng=0)
        z = rng.normal(size=(N, T, 6))
        assert np.array_equal(block(z), plain(z))
        assert not np.array_equal(block.forward(z)[0], block.forward(z)[0])


def test_two_blocks_do_not_start_alike():
    generator = np.random.default_rng(0)
    one, other = (transformer_encoder_block(4, 2, rng=generator, dtype=np.float32) for _ in range(2))
    stack = Sequential(one, other, LayerNorm(4, dtype=np.float32), Linear(4, 2, rng=generator, dtype=np.float32))
    assert {array.dtype for array in stack.parameters().values()} == {np.dtype(np.float32)}
    weights = [array for name, array in stack.parameters().items() if name.endswith("in_proj_weight")]
    assert len(weights) == 2
    assert not np.array_equal(*weights)


def test_masks_whose_sum_is_beyond_the_range_hide():
    """Each alone is a large number; together they are -inf, so that a row has nothing left."""
    lowest = np.full((4, 5), np.finfo(float).min)
    layer = ScaledDotProductAttention(mask=lowest)
    with pytest.raises(ValueError, match="expects every row of q to attend to one row of k or more"):
        layer((Q, K, V), lowest[np.newaxis])
    one_left = lowest.copy()
    one_left[:, 2] = 0
    np.testing.assert_allclose(
        layer((Q, K, V), one_left[np.newaxis]), np.broadcast_to(V[:, 2:3], (2, 4, 2)), rtol=0, atol=1e-15
    )


def test_a_mask_that_would_lose_its_own_mask_is_refused():
    with pytest.raises(TypeError, match="expects a mask to be an array of booleans"):
        ScaledDotProductAttention(mask=np.ma.array(np.ones((4, 5), bool), mask=np.eye(4, 5)))
