"""The formulas that layers give: every layer has them, they can be read, and what they say is what the rules do."""

# ruff: noqa: RUF001 - letters that look like others are what it is about

import math

import numpy as np
import pytest
from case import Case, HeldFixed, OfIndices, OneArray, Sizes
from formula_values import D, Evaluator, Y, Z
from table import CASES

from minigrad import (
    GELU,
    RBF,
    BatchNorm1d,
    BatchNorm2d,
    BernoulliNLLLoss,
    Container,
    CrossEntropyLoss,
    GlobalAveragePool,
    GlobalMaxPool,
    Layer,
    Mish,
    NLLLoss,
    PoissonNLLLoss,
    Sequential,
)
from minigrad.explaining.as_latex import as_latex, escaped
from minigrad.explaining.as_mathml import as_mathml
from minigrad.explaining.as_text import as_text
from minigrad.explaining.indices import free_indices
from minigrad.explaining.parsing import FormulaError, parse
from minigrad.explaining.tree import Function, Number, Scripts, Symbol, substituted
from minigrad.fusions import Fusion
from minigrad.losses import Loss

SIZES = Sizes(3, 2, 4)
# Of these the three rules are those of what stands inside, which `explain` shows.
MADE_OF_LAYERS = (Sequential, Fusion, OneArray, OfIndices, HeldFixed)
# What is not evaluated, by the beginning of its name, and why.
NOT_NUMBERS = {
    "MaxPool": "m, the places of the maxima, is said in words",
    "AvgPool2d of": "m, the entries of a window, is said in words",
    "AvgPool2d, ceil": "m, likewise",
    "Adaptive": "B, the windows, is said in words",
    "Polynomial": "the exponents of monomials are said in words",
    "GroupNorm": "the axes of mean and var are said in words",
    "LayerNorm of": "axes other than the last, likewise; of one number, ties",
    "RMSNorm of two": "axes, likewise",
    "RNN": "steps are said in words",
    "GRU": "steps are said in words",
    "LSTM": "steps are said in words",
    "ScaledDot": "softmax is of rows, which are said in words",
    "MultiHead": "heads are said in words",
    "Conv2d with options": "takes long",
    "Dropout": "the draw m is said in words",
    "PositionalEncoding": "P is said in words",
    "Embedding": "an index that is z",
    "LearnedPositional": "as many rows as there are steps, in words",
    "Linear on sequences": "rule 3 is a sum over steps too",
    "RBF on sequences": "likewise",
    "LayerNorm without": "likewise",
    "Bias on": "the axes of a sum are said in words",
    "Bias of": "likewise",
    "Scale of": "likewise",
    "PReLU by channel": "likewise",
    "Bilinear": "u and v are said in words",
    "Concatenate": "in words",
    "Split": "in words",
    "Add": "in words",
    "Branch": "of layers",
    "Parallel": "of layers",
    "Residual": "of layers",
    "Frozen": "of layers",
    "Penalized": "of a cost",
    "CrossEntropyLoss of many": "takes long",
    "LogSoftmax of many": "takes long",
    "Flatten": "in words",
    "Reshape": "in words",
    "Transpose": "in words",
    "Slice": "in words",
    "Pad": "in words",
    "transformer": "of layers",
}


def layers_of_the_table():
    """Each formula once: (name, layer)."""
    found = {}
    for case in CASES:
        pending = [case.make(SIZES, np.random.default_rng(0))]
        while pending:
            layer = pending.pop()
            if isinstance(layer, Container):
                pending += [child for _, child in layer.children()]
            if not isinstance(layer, MADE_OF_LAYERS):
                found.setdefault((type(layer).__name__, str(layer.formulas)), layer)
    return [pytest.param(layer, id=f"{name} {i}") for i, ((name, _), layer) in enumerate(found.items())]


@pytest.mark.parametrize("layer", layers_of_the_table())
def test_every_layer_has_formulas_that_can_be_read(layer: Layer):
    formulas = layer.formulas
    assert formulas is not None
    if not isinstance(layer, Container):
        assert set(layer.parameters()) <= set(formulas.gradients)
        assert set(layer.parameters()) <= set(formulas.symbols)
    plain = {Z: Symbol("z"), Y: Symbol("y"), D: Symbol("delta")}
    for source in (formulas.forward, formulas.backward, *formulas.gradients.values(), *formulas.symbols.values()):
        tree = substituted(parse(source), plain)
        assert parse(as_latex(tree)) == tree, source
        assert as_text(tree).strip()
        assert as_mathml(tree).count("<mrow>") == as_mathml(tree).count("</mrow>")


def unwrapped(layer: Layer, z, arguments):
    """What a case is about, without what makes one array of several."""
    if isinstance(layer, HeldFixed):
        return layer.inner, z, arguments
    if isinstance(layer, OfIndices):
        return layer.inner, arguments[0], ()
    return layer, z, arguments


def meanings(layer: Layer, z, arguments) -> dict:
    """What symbols stand for: the parameters by their symbols, and what `where` says."""
    known = {parse(layer.formulas.symbols[name]): array for name, array in layer.parameters().items()}
    known |= {
        Symbol("sigma"): lambda a: 1 / (1 + np.exp(-a)),
        Symbol("Phi"): np.vectorize(lambda a: (1 + math.erf(a / 2**0.5)) / 2),
        Symbol("varphi"): lambda a: np.exp(-(a**2) / 2) / (2 * math.pi) ** 0.5,
        Symbol("lambda"): 1.0507009873554805,
        Symbol("alpha"): 1.6732632423543772,
        Symbol("N"): len(z),
    }
    if isinstance(layer, Loss):
        t, *weights = arguments
        known |= {Symbol("t"): t, Symbol("M"): np.size(t), Symbol("K"): z.shape[-1]}
        labels = t.dtype.kind == "i" and isinstance(layer, NLLLoss)
        kept = t != layer.ignore_index if labels else np.ones(t.shape, bool)
        if labels:
            known |= {Symbol("t"): t[kept], Symbol("N"): kept.sum()}
        for u in weights:
            u = u if u.ndim == t.ndim or (isinstance(layer, NLLLoss) and not labels) else u[:, np.newaxis]
            known |= {Symbol("u"): np.broadcast_to(u, t.shape)[kept] if labels else u, Symbol("D"): t[0].size}
        for symbol, name in (("w", "class_weights"), ("q", "q"), ("p", "pos_weight")):
            if getattr(layer, name, None) is not None:
                known[Symbol(symbol)] = np.asarray(getattr(layer, name))
        if getattr(layer, "weight", None) is not None:
            known[Symbol("w")] = layer.weight
    if isinstance(layer, GELU):
        u = math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)
        known |= {Symbol("u"): u, Symbol("v"): math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * z**2)}
    if isinstance(layer, Mish):
        known[Symbol("t")] = np.tanh(np.log1p(np.exp(z)))
    if isinstance(layer, GlobalAveragePool | GlobalMaxPool):
        known |= {Symbol("P"): z.shape[2], Symbol("m"): z.argmax(axis=2)}
    if isinstance(layer, RBF):
        known[Symbol("gamma")] = np.exp(layer.log_gamma)
    if getattr(layer, "groups", 1) > 1:
        of_first, of_second = layer.weight.shape[:2]
        known[Symbol("g")] = np.arange(of_first) // (of_first // layer.groups) * of_second
    if isinstance(layer, PoissonNLLLoss):
        known[Function("log")] = lambda a: np.log(np.where(a == 0, 1, a))
    if hasattr(layer, "eps") and not isinstance(layer, Loss):
        axis = -1
        if isinstance(layer, BatchNorm1d | BatchNorm2d):  # channels last
            axis = tuple(range(z.ndim - 1))
        known[Symbol("epsilon")] = np.finfo(float).eps if layer.eps is None else layer.eps
        known |= {Function("mean"): lambda a: a.mean(axis=axis, keepdims=True)}
        known |= {Function("var"): lambda a: a.var(axis=axis, keepdims=True)}
    return known


EVALUATED = [case for case in CASES if not any(case.name.startswith(name) for name in NOT_NUMBERS)]
EVALUATED = [c for c in EVALUATED if c.make(SIZES, np.random.default_rng(0)).__class__ not in (Sequential, OneArray)]
EVALUATED = [c for c in EVALUATED if not isinstance(c.make(SIZES, np.random.default_rng(0)), Sequential | Fusion)]


@pytest.mark.parametrize("case", EVALUATED, ids=lambda case: case.name)
def test_what_formulas_say_is_what_the_rules_do(case: Case):
    rng = np.random.default_rng(5)
    layer = case.make(SIZES, rng)
    z = rng.normal(size=case.z_shape(SIZES))
    for kink in case.kinks:
        z = np.where(abs(z - kink) < 0.1, kink + 0.15, z)
    layer, z, arguments = unwrapped(layer, case.domain(z), case.arguments(SIZES, rng))
    layer = layer.with_parameters({name: rng.normal(size=a.shape) for name, a in layer.parameters().items()})
    if isinstance(layer, Loss):
        compare(layer, z, arguments, layer.formulas_at(z, *arguments))
    if not isinstance(layer, CrossEntropyLoss) or arguments[0].dtype.kind != "f":
        compare(layer, z, arguments[:1], layer.formulas)


def compare(layer, z, arguments, formulas):
    """The formulas at these arrays against the rules."""
    y, cache = layer.forward(z, *arguments)
    delta = np.asarray(np.random.default_rng(6).normal(size=np.shape(y)))[()]
    dz, gradients = layer.backpropagate(delta, cache)
    own = tuple(parse(symbol) for symbol in formulas.symbols.values())
    if isinstance(layer, BatchNorm1d | BatchNorm2d):
        z, y, delta, dz = (np.moveaxis(a, 1, -1) for a in (z, y, delta, dz))
    if isinstance(layer, GlobalAveragePool | GlobalMaxPool):  # places as one axis
        z, dz = (a.reshape(*a.shape[:2], -1) for a in (z, dz))
    known = meanings(layer, z, arguments)
    if isinstance(layer, BernoulliNLLLoss):  # of one column
        z, dz = z[:, 0], dz[:, 0]
    if isinstance(layer, NLLLoss):  # n runs over all places of all rows that are not ignored
        kept = arguments[0] != layer.ignore_index if arguments[0].dtype.kind == "i" else np.ones(len(z), bool)
        assert not dz[~kept].any()
        z, dz = z[kept], dz[kept]
        y, delta = (a[kept] if np.ndim(a) else a for a in (y, delta))
    window = getattr(layer, "kernel_size", ())
    sizes = dict(zip("ij", window if isinstance(window, tuple) else (window,), strict=False))

    def evaluated(source, shape, sorted_=True):
        arrays = {Z: z, Y: np.asarray(y), D: np.asarray(delta)}
        return Evaluator({**known, **arrays}, dict(sizes)).rule(source, shape, sorted_, own)

    close(evaluated(formulas.forward, np.shape(y)), y)
    close(evaluated(formulas.backward, z.shape), dz)
    for name, gradient in gradients.items():
        close(evaluated(formulas.gradients[name], gradient.shape, sorted_=False), gradient)


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (r"\z W^\top + b", "z Wᵀ + b"),
        (r"-\frac{1}{N} \sum_n \z_{n, t_n}", "-(1/N) Σₙ z[n, tₙ]"),
        (r"\frac{a + b}{2 c}", "(a + b)/(2 c)"),
        (r"\sqrt{\sigma} \odot \hat{x}", "√σ ⊙ x\u0302"),
        (r"w_{t_n} x_q y^{12} y^{ab} y^q z^{(a,b)}", "w[tₙ] x_q y¹² yᵃᵇ y^q z^((a, b))"),
        (r"\sum_{k=1}^K f(x_k) (1 - x)", "Σₖ₌₁ᴷ f(xₖ) (1 - x)"),
        (r"\left\lVert x \right\rVert^2 |y| a|b", "‖x‖² |y| a|b"),
        (r"[k = t_n] - [x \le -1]", "[k = tₙ] - [x ≤ -1]"),
        (r"\operatorname{softmax}(q k^\top) v", "softmax(q kᵀ) v"),
        (r"\text{so many} \quad \mathbb{R} \to \infty", "so many  ℝ → ∞"),
        (r"\left. x \right| \{a\} f'", "x| {a} f′"),
    ],
)
def test_text(source, text):
    assert as_text(substituted(parse(source), {Z: Symbol("z")})) == text


@pytest.mark.parametrize(
    ("source", "what"),
    [
        (r"\z W)", ") closes nothing"),
        (r"(\z W", "( is not closed"),
        (r"\frac{1}", "{...} expected, got its end"),
        (r"\sqrt 2", "{...} expected, got 2"),
        (r"{x", "} expected, got its end"),
        (r"\left( x )", r"\right expected, got )"),
        (r"x_", "it ends too early"),
        (r"x_1_2", "_ twice in a row"),
        (r"^2", "^ has nothing before it"),
        (r"x @ y", "@ is not known here"),
        (r"\relu x", r"\relu is not known: \operatorname{relu} is a function, \text{relu} a word"),
    ],
)
def test_what_cannot_be_read(source, what):
    with pytest.raises(FormulaError) as caught:
        parse(source)
    assert str(caught.value) == f"the formula {source!r} cannot be read: {what}"


def test_words_in_latex_are_no_commands():
    assert escaped(r"a_b {5%} x^2 ~ <\z>") == (
        r"a\_b \{5\%\} x\^{}2 \textasciitilde{} \textless{}\textbackslash{}z\textgreater{}"
    )


def test_a_macro_keeps_its_indices_and_its_power_goes_outside():
    level = Scripts(Symbol("z"), None, Number("3"))
    tree = substituted(parse(r"\y^2 + \y_n^\top + \hat{\y}_n + W_{1}^\top"), {Y: level, parse("W_{1}"): Symbol("V")})
    assert as_text(tree) == "(z³)² + (z³ₙ)ᵀ + z\u0302³ₙ + Vᵀ"


@pytest.mark.parametrize(
    ("source", "free"),
    [
        (r"\z_k - \log \sum_j \exp(\z_j)", "k"),
        (r"-\frac{1}{\sum_n w_{t_n}} w_{t_n} [k = t_n] \d", "nk"),
        (r"\sum_{c, i} W_{o, c, i} \z_{n, c, r + i} + b_o", "nor"),
        (r"\sum_{h \in B_r} \z_{n, c, h}", "ncr"),
        (r"\sum_n \z_n + w_n", "n"),
        (r"(\d_i, \d_j)", ""),
        (r"\z W^\top", ""),
    ],
)
def test_indices_of_the_left_hand_side(source, free):
    assert "".join(free_indices(parse(source))) == free
