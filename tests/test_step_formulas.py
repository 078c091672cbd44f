"""The formulas of layers of steps, heads, groups and tuples, evaluated as they are written, against the rules."""

import numpy as np
import pytest
from formula_values import D, Evaluator, Y, Z, split

from minigrad import GRU, LSTM, RNN, GaussianNLLLoss, GroupNorm, MultiHeadAttention, ScaledDotProductAttention
from minigrad.explaining.parsing import parse
from minigrad.explaining.tree import Accent, Fence, Function, Operator, Row, Scripts, Symbol, definitions, items_of

T, TOP = parse("h_t").sub, Symbol("top")
BEFORE, AFTER, ONE = parse("h_{t - 1}").sub, parse("h_{t + 1}").sub, parse("h_1").sub
SIGMOID = {Symbol("sigma"): lambda a: 1 / (1 + np.exp(-a))}


def put(tree, known) -> None:
    """A definition: a_t = [a_r, a_k] names the parts of what is known, or puts known parts side by side."""
    items = items_of(tree)
    at = items.index(Operator("="))
    left, right = Row(items[:at]) if at > 1 else items[0], items[at + 1 :]
    if (
        len(right) == 1
        and isinstance(right[0], Fence)
        and right[0].left == "["
        and Operator(",") in items_of(right[0].inside)
    ):
        parts = split(right[0].inside, ",")
        if left in known:
            known |= zip(parts, np.split(known[left], len(parts), axis=-1), strict=True)
        else:
            known[left] = np.concatenate([value(part, known) for part in parts], axis=-1)
    else:
        known[left] = value(Row(right), known)


def value(tree, known):
    return Evaluator(known).of(tree).array


def shifted(known, sub) -> dict:
    """What is known of a step, with the index of another: h_t as h_{t + 1}, and f as f_{t + 1}."""
    found = {}
    for tree, array in known.items():
        if isinstance(tree, Scripts) and tree.sub == T:
            found[Scripts(tree.base, sub, None)] = array
        elif isinstance(tree, Symbol) and len(tree.name) == 1 and isinstance(array, np.ndarray):
            found[Scripts(tree, sub, None)] = array
    return found


def worked(layer, formulas, z, states, delta):
    """What is known of each step after rules 1 and 2, as the formulas say."""
    n, times, _ = z.shape
    given = SIGMOID | {parse(formulas.symbols[name]): array for name, array in layer.parameters().items()}
    _, *up = definitions(parse(formulas.forward))
    _, *down = definitions(parse(formulas.backward))
    before = dict(zip((Scripts(Symbol("h"), BEFORE, None), Scripts(Symbol("s"), BEFORE, None)), states, strict=False))
    steps = []
    for t in range(times):
        known = given | before | {parse(r"\z_t"): z[:, t], parse(r"(\z_0)_t"): z[:, t]}
        for tree in reversed(up):
            put(tree, known)
        before = {
            tree: array for tree, array in shifted(known, BEFORE).items() if tree.base in (Symbol("h"), Symbol("s"))
        }
        steps.append(known)
    wide, narrow = np.zeros((n, layer.gates * layer.hidden_size)), np.zeros((n, layer.hidden_size))
    after = {Scripts(Accent("bar", Symbol(x)), AFTER, None): wide for x in "au"}
    after |= {Scripts(Accent("bar", Symbol(x)), AFTER, None): narrow for x in "hs"}
    after |= {Scripts(Symbol(x), AFTER, None): narrow for x in "kf"}
    for t in reversed(range(times)):
        known = steps[t]
        known |= after | {Symbol("t"): np.array(t), Symbol("T"): np.array(times - 1)}
        known |= {D: delta} if layer.last else {parse(r"\d_t"): delta[:, t]}
        for tree in reversed(down):
            put(tree, known)
        after |= shifted(known, AFTER)
    return steps


def summed(source, steps):
    """sum_t of what follows, and of sum_{n, t} that of rows too."""
    main, *_ = definitions(parse(source))
    _, *rest = main.items
    rows = parse("x_{n, t}").sub
    by_rows = [
        {Scripts(k.base, rows, None): a.sum(axis=0) for k, a in s.items() if isinstance(k, Scripts) and k.sub == T}
        for s in steps
    ]
    return sum(value(Row(tuple(rest)), known | more) for known, more in zip(steps, by_rows, strict=True))


@pytest.mark.parametrize("states", [False, True])
@pytest.mark.parametrize(
    "layer",
    [
        RNN(2, 3, rng=0),
        RNN(2, 3, "relu", last=True, rng=0),
        GRU(2, 3, rng=0),
        GRU(2, 3, bias=False, last=True, rng=0),
        LSTM(2, 3, rng=0),
        LSTM(2, 3, bias=False, last=True, rng=0),
    ],
    ids=repr,
)
def test_steps(layer, states):
    rng = np.random.default_rng(1)
    z, first = rng.normal(size=(2, 4, 2)), rng.normal(size=(len(layer.states), 2, 3)) * states
    given = (z, *first) if states else z
    z_next, cache = layer.forward(given)
    delta = rng.normal(size=z_next.shape)
    dz, gradients = layer.backpropagate(delta, cache)
    formulas = layer.formulas_at(given)
    steps = worked(layer, formulas, z, first, delta)
    h = np.stack([known[parse("h_t")] for known in steps], axis=1)
    assert definitions(parse(formulas.forward))[0] == parse("h_T" if layer.last else "h_t")
    np.testing.assert_allclose(h[:, -1] if layer.last else h, z_next, rtol=1e-12)
    main = definitions(parse(formulas.backward))[0]
    of_z, *of_states = split(main.inside, ",") if states else [main]
    dz, *d_states = dz if states else [dz]
    np.testing.assert_allclose(np.stack([value(of_z, known) for known in steps], axis=1), dz, rtol=1e-9)
    for tree, right in zip(of_states, d_states, strict=True):
        np.testing.assert_allclose(value(tree, steps[0] | shifted(steps[0], ONE)), right, rtol=1e-9)
    for name, right in gradients.items():
        np.testing.assert_allclose(summed(formulas.gradients[name], steps), right, rtol=1e-9)


def softmax(a):
    weights = np.exp(a - a.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("masked", [False, True])
def test_attention(masked):
    rng = np.random.default_rng(1)
    q, k, v = rng.normal(size=(1, 3, 2)), rng.normal(size=(1, 4, 2)), rng.normal(size=(1, 4, 5))
    mask = rng.normal(size=(1, 3, 4)) if masked else None
    layer = ScaledDotProductAttention()
    z_next, cache = layer.forward((q, k, v), mask)
    delta = rng.normal(size=z_next.shape)
    formulas = layer.formulas_at((q, k, v), mask)
    known = {Symbol(name): array[0] for name, array in zip("qkv", (q, k, v), strict=True)}
    known |= {Symbol("E"): np.array(2.0), Function("softmax"): softmax, D: delta[0]}
    known |= {Symbol("M"): mask[0]} if masked else {}
    np.testing.assert_allclose(value(parse(formulas.forward), known), z_next[0])
    main, s, d, p = definitions(parse(formulas.backward))
    put(p, known)
    put(d, known)
    # The sum goes along the rows of k, as `where` says.
    assert "softmax and sum go along the rows of k" in formulas.where
    assert s == parse(r"S = \frac{1}{\sqrt{E}} P \odot (D - \sum_j P_j D_j)")
    weights, of_weights = known[Symbol("P")], known[Symbol("D")]
    known[Symbol("S")] = weights * (of_weights - (weights * of_weights).sum(axis=1, keepdims=True)) / 2**0.5
    for part, right in zip(split(main.inside, ","), layer.backward(delta, cache), strict=True):
        np.testing.assert_allclose(value(part, known), right[0], rtol=1e-9)


def test_heads():
    """The formulas of MultiHeadAttention, written out: A_i, [q, k, v], and what stands before and after them."""
    rng = np.random.default_rng(1)
    layer, z = MultiHeadAttention(4, 2, rng=0), rng.normal(size=(2, 3, 4))
    layer.in_proj_bias[...] = rng.normal(size=12)
    z_next, cache = layer.forward(z)
    delta = rng.normal(size=z_next.shape)
    dz, gradients = layer.backpropagate(delta, cache)
    formulas, (w, v) = layer.formulas, (layer.in_proj_weight, layer.out_proj.weight)
    assert formulas.forward == (
        r"f(A), \quad A_i = \operatorname{softmax}\left( \frac{q_i k_i^\top}{\sqrt{E}} \right) v_i, "
        r"\quad [q, k, v] = \z W^\top + b"
    )
    of_heads = r", \quad [\bar{A}_1, \bar{A}_2, \dots] = \d \cdot \frac{\partial f}{\partial A}"
    assert formulas.backward == rf"[\bar{{q}}, \bar{{k}}, \bar{{v}}] W{of_heads}"
    assert formulas.gradients == {
        "in_proj_weight": rf"\sum_n [\bar{{q}}_n, \bar{{k}}_n, \bar{{v}}_n]^\top \z_n{of_heads}",
        "in_proj_bias": rf"\sum_{{n, t}} [\bar{{q}}_{{n, t}}, \bar{{k}}_{{n, t}}, \bar{{v}}_{{n, t}}]{of_heads}",
    }
    q_k_v = np.split(z @ w.T + layer.in_proj_bias, 3, axis=-1)
    heads, back = [], []
    for i in range(2):
        part = tuple(array[..., 2 * i : 2 * i + 2] for array in q_k_v)
        attention = ScaledDotProductAttention()
        out, of_head = attention.forward(part)
        np.testing.assert_allclose(out, softmax(part[0] @ part[1].swapaxes(1, 2) / 2**0.5) @ part[2])
        heads.append(out)
        back.append(attention.backward((delta @ v)[..., 2 * i : 2 * i + 2], of_head))
    np.testing.assert_allclose(layer.out_proj(np.concatenate(heads, axis=-1)), z_next)
    d_q_k_v = np.concatenate([np.concatenate(parts, axis=-1) for parts in zip(*back, strict=True)], axis=-1)
    np.testing.assert_allclose(d_q_k_v @ w, dz)
    np.testing.assert_allclose(sum(d.T @ row for d, row in zip(d_q_k_v, z, strict=True)), gradients["in_proj_weight"])
    np.testing.assert_allclose(d_q_k_v.sum(axis=(0, 1)), gradients["in_proj_bias"])


def in_place_of_pair(tree, i):
    """The formula of part i: of (a, b) in a product that part."""
    items = items_of(tree)
    return Row(
        tuple(
            split(x.inside, ",")[i] if isinstance(x, Fence) and Operator(",") in items_of(x.inside) else x
            for x in items
        )
    )


@pytest.mark.parametrize("weights", [None, (3,), (3, 2)])
@pytest.mark.parametrize("loss", [GaussianNLLLoss(), GaussianNLLLoss("sum", full=True)], ids=repr)
def test_a_mean_and_a_variance(loss, weights):
    rng = np.random.default_rng(1)
    m, v, t = rng.normal(size=(3, 2)), rng.uniform(0.5, 2, (3, 2)), rng.normal(size=(3, 2))
    given = () if weights is None else (rng.uniform(0.5, 2, weights),)
    value_, cache = loss.forward((m, v), t, *given)
    delta = np.array(1.7)
    formulas = loss.formulas_at((m, v), t, *given)
    known = {Symbol("m"): m, Symbol("v"): v, Symbol("t"): t, D: delta, Symbol("M"): np.array(6.0)}
    if given:
        known |= {Symbol("u"): given[0].reshape(3, -1), Symbol("D"): np.array(2.0)}
    np.testing.assert_allclose(value(parse(formulas.forward), known), value_)
    for i, right in enumerate(loss.backward(delta, cache)):
        np.testing.assert_allclose(value(in_place_of_pair(parse(formulas.backward), i), known), right)


@pytest.mark.parametrize("shape", [(2, 4), (2, 4, 3)])
def test_groups(shape):
    rng = np.random.default_rng(1)
    layer = GroupNorm(2, 4)
    layer = layer.with_parameters({name: rng.normal(size=4) for name in ("weight", "bias")})
    z = rng.normal(size=shape)
    z_next, cache = layer.forward(z)
    delta = rng.normal(size=shape)
    dz, gradients = layer.backpropagate(delta, cache)

    def of_groups(statistic):
        """Of arrays with the channels last, over the entries of each group."""

        def function(a):
            grouped = np.moveaxis(a, -1, 1).reshape(2, 2, -1)
            found = statistic(grouped, axis=-1, keepdims=True) + 0 * grouped
            return np.moveaxis(found.reshape(shape), 1, -1)

        return function

    last = {name: np.moveaxis(a, 1, -1) for name, a in {"z": z, "y": z_next, "d": delta, "dz": dz}.items()}
    known = {Z: last["z"], Y: last["y"], D: last["d"], Symbol("w"): layer.weight, Symbol("b"): layer.bias}
    known |= {Function("mean"): of_groups(np.mean), Function("var"): of_groups(np.var), Symbol("epsilon"): layer.eps}
    formulas = layer.formulas
    np.testing.assert_allclose(Evaluator(dict(known)).rule(formulas.forward, last["y"].shape), last["y"])
    np.testing.assert_allclose(Evaluator(dict(known)).rule(formulas.backward, last["dz"].shape), last["dz"], rtol=1e-9)
    for name, right in gradients.items():
        np.testing.assert_allclose(Evaluator(dict(known)).rule(formulas.gradients[name], (4,), False), right)
