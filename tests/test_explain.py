"""explain: its three forms, its numbers, what stands in containers, and the rule that is left to be filled in."""

# ruff: noqa: RUF001 - letters that look like others are what it is about

import shutil
import subprocess
import unicodedata
from xml.etree import ElementTree

import numpy as np
import pytest
from case import Sizes
from table import CASES

from minigrad import (
    GELU,
    LSTM,
    RBF,
    Add,
    BatchNorm1d,
    Bilinear,
    Branch,
    Container,
    CrossEntropyLoss,
    Dropout,
    Embedding,
    Frozen,
    Identity,
    L1Penalty,
    L2Penalty,
    Layer,
    LayerNorm,
    Linear,
    LogSoftmax,
    MaxPool2d,
    MSELoss,
    MultiHeadAttention,
    NLLLoss,
    Penalized,
    PositionalEncoding,
    ReLU,
    Repeat,
    Residual,
    Sequential,
    Tanh,
    trace,
)
from minigrad.explaining import explain
from minigrad.explaining.parsing import FormulaError
from minigrad.losses import Penalty
from minigrad.typing import Formulas

X, LABELS = np.array([[1.0, 2.0], [-1.0, 0.5], [0.0, 3.0]]), np.array([0, 2, 1])


def classifier() -> Sequential:
    return Sequential(Linear(2, 2, rng=0), Tanh(), Linear(2, 3, rng=1), LogSoftmax(), NLLLoss())


class Squares(Layer):
    """sum (z - t)^2."""

    formulas = Formulas(r"\sum (\z - t)^2", r"2 (\z - t) \d", where="t is the target")

    def forward(self, z, target):
        return np.sum((z - target) ** 2), z - target

    def backward(self, delta, residual):
        return 2 * residual * delta

    def __repr__(self):
        return "Squares()"


def by_hand() -> Sequential:
    cost = Sequential(Linear(2, 1), Squares())
    cost[0].weight[...] = [[1.0, -2.0]]
    cost[0].bias[...] = [0.5]
    return cost


class Double(Layer):
    """a z, without formulas."""

    parameter_names = ("a",)

    def __init__(self):
        self.a = np.array(2.0)

    def forward(self, z):
        return self.a * z, z

    def backward(self, delta, z):
        return self.a * delta

    def parameter_gradients(self, delta, z):
        return {"a": np.asarray((delta * z).sum())}


class Total(Layer):
    """A cost of anything: sum_i w_i z_i."""

    formulas = Formulas(r"\sum w \odot \z", r"\d w", where="w are fixed numbers")
    complex_safe = rows_independent = True

    def forward(self, z):
        return np.sum(self.of(z) * z), z

    def backward(self, delta, z):
        return delta * self.of(z)

    @staticmethod
    def of(z):
        return np.cos(np.arange(np.size(z))).reshape(np.shape(z)).astype(np.asarray(z).dtype)


def raised(kind, function, *arguments, **options) -> str:
    """The message of the error that a call raises."""
    with pytest.raises(kind) as caught:
        function(*arguments, **options)
    return str(caught.value)


def test_a_regression_by_hand():
    said = str(explain(by_hand(), np.array([[3.0, 1.0], [0.0, 2.0]]), np.array([[1.0], [-4.0]])))
    assert (
        said
        == """\
Sequential(Linear, Squares), worked through
  z¹ = x goes in, every layer gives the z above it, and the last is the cost C.
  δ has the shape of its z: δˡ = ∂C/∂zˡ.

Upwards: rule 1
            z¹ = x                                                 (2, 2)
               = [ 3  1 ]
                 [ 0  2 ]
            target                                                 (2, 1)
                   = [  1 ]
                     [ -4 ]

  Linear(2 -> 1) at 0
    rule 1  z² = z¹ Wᵀ + b                                         (2, 1)
               = [  1.5 ]
                 [ -3.5 ]
            W = weight                                             (1, 2)
              = [ 1  -2 ]
            b = bias                                               (1,)
              = [ 0.5 ]

  Squares() at 1
    rule 1  z³ = Σ (z² - t)²                                       a number
               = 0.5
              where t is the target
            C = z³                                                 a number
              = 0.5

Downwards: rules 2 and 3
  δˡ = δˡ⁺¹ · (∂zˡ⁺¹/∂zˡ) is rule 2, and ∂C/∂θˡ = δˡ⁺¹ · (∂zˡ⁺¹/∂θˡ) rule 3
            δ³ = ∂C/∂C                                             a number
               = 1

  Squares() at 1
    rule 2  δ² = 2 (z² - t) δ³                                     (2, 1)
               = [ 1 ]
                 [ 1 ]

  Linear(2 -> 1) at 0
    rule 3  ∂C/∂W = (δ²)ᵀ z¹                                       (1, 2)
                  = [ 3  3 ]
    rule 3  ∂C/∂b = Σₙ δ²ₙ                                         (1,)
                  = [ 2 ]
    rule 2  δ¹ = δ² W                                              (2, 2)
               = [ 1  -2 ]
                 [ 1  -2 ]

The chain, for each parameter
  Each factor is a Jacobian. Read from the left it is vector times matrix, and no matrix is ever built:
  rules 2 and 3 give the products above.
            ∂C/∂W = δ³ · (∂z³/∂z²) · (∂z²/∂W)                      (1, 2)
              0.weight
            ∂C/∂b = δ³ · (∂z³/∂z²) · (∂z²/∂b)                      (1,)
              0.bias

  Checked: these gradients are those of cost.parameter_gradients, to the bit."""
    )


def test_the_numbers_are_those_of_the_cost():
    cost = classifier()
    explanation = explain(cost, X, LABELS)
    value, cache = cost.forward(X, LABELS)
    expected = cost.parameter_gradients(1.0, cache)
    assert explanation.value == value
    assert list(explanation.gradients) == list(expected)
    for name, gradient in expected.items():
        assert np.array_equal(explanation.gradients[name], gradient)
    assert "to the bit" in str(explanation)


def test_each_delta_is_the_derivative_of_the_cost_by_its_z():
    cost = classifier()
    nodes = explain(cost, X, LABELS)._worked.nodes
    assert [(node.below, node.above, node.place) for node in nodes] == [
        (str(i + 1), str(i + 2), str(i)) for i in range(5)
    ]
    for i, node in enumerate(nodes):
        above, moved = Sequential(*cost[i:]), node.z.copy()
        moved[1, 0] += 1e-6
        slope = (above(moved, LABELS) - above(node.z, LABELS)) / 1e-6
        assert abs(slope - node.delta[1, 0]) < 1e-5


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_layer_is_explained_in_three_forms(case):
    rng = np.random.default_rng(3)
    layer = case.make(Sizes(3, 2, 4), rng)
    z, arguments = case.domain(rng.normal(size=case.z_shape(Sizes(3, 2, 4)))), case.arguments(Sizes(3, 2, 4), rng)
    value = layer.forward(z, *arguments)[0]
    if arguments and np.ndim(value):  # what takes a target stands on top, and this is not one number
        assert "expects a cost that is one number" in raised(ValueError, explain, layer, z, *arguments)
        return
    explanation = explain(layer if arguments else Sequential(layer, Total()), z, *arguments)
    text = str(explanation)
    assert "NOT as" not in text
    for name in explanation.gradients:
        assert f"\n              {name}\n" in f"{text}\n", name
    assert max(map(len, text.splitlines())) <= 120
    ElementTree.fromstring(explanation.html())
    latex = explanation.latex()
    assert latex.count(r"\begin{align*}") == latex.count(r"\end{align*}") >= 2
    assert latex.count("{") - latex.count(r"\{") == latex.count("}") - latex.count(r"\}")
    assert all(ord(letter) < 128 for letter in latex)


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="there is no LaTeX")
def test_latex_compiles(tmp_path):
    nested = Sequential(
        Linear(2, 2, rng=0), Residual(Sequential(Double(), ReLU())), Branch(Identity(), Tanh()), Add(), MSELoss()
    )
    parts = [
        explain(Penalized(classifier(), L2Penalty(0.5), L1Penalty(1e-5)), X, LABELS).latex(),
        explain(nested, X, X, blank=(0, "backward")).latex(),
    ]
    head = "\\documentclass{article}\n\\usepackage{amsmath, amssymb}\n\\begin{document}\n"
    (tmp_path / "explained.tex").write_text(head + "\n".join(parts) + "\n\\end{document}\n")
    run = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "explained.tex"], cwd=tmp_path, capture_output=True
    )
    assert run.returncode == 0, run.stdout.decode(errors="replace")[-2000:]


def test_large_arrays_show_their_shapes_alone():
    said = str(explain(Sequential(Linear(5, 3, rng=0), MSELoss()), np.ones((2, 5)), np.zeros((2, 3))))
    lines = said.splitlines()
    i = next(i for i, line in enumerate(lines) if line.strip().startswith("z¹ = x  "))
    assert lines[i].endswith("(2, 5)")
    assert "=" not in lines[i + 1]
    assert any("z² = z¹ Wᵀ + b" in line for line in lines)


# What stands in containers.


def test_what_stands_in_a_residual_layer_has_numbers_of_its_own():
    cost = Sequential(Residual(Sequential(Linear(2, 2, rng=0), Tanh())), MSELoss())
    said = [" ".join(line.split()) for line in str(explain(cost, X, X)).splitlines()]
    for line in (
        "z^(1.1) = z¹ (3, 2)",
        "Linear(2 -> 2) at 0.inner.0",
        "rule 1 z^(1.2) = z^(1.1) Wᵀ + b (3, 2)",
        "rule 1 z² = z¹ + z^(1.3) (3, 2)",
        "δ^(1.3) = δ² (3, 2)",
        "rule 2 δ^(1.1) = δ^(1.2) W (3, 2)",
        "rule 2 δ¹ = δ² + δ^(1.1) (3, 2)",
        "∂C/∂W = δ³ · (∂z³/∂z²) · (∂z²/∂z^(1.3)) · (∂z^(1.3)/∂z^(1.2)) · (∂z^(1.2)/∂W) (2, 2)",
    ):
        assert line in said, line


def test_branches_are_a_and_b():
    cost = Sequential(Branch(Linear(2, 3, rng=0), Linear(2, 3, rng=1)), Add(), MSELoss())
    said = [" ".join(line.split()) for line in str(explain(cost, X, np.ones((3, 3)))).splitlines()]
    for line in (
        "z^(1a.1) = z¹ (3, 2)",
        "rule 1 z^(1b.2) = z^(1b.1) (W^(1b.1))ᵀ + b^(1b.1) (3, 3)",
        "rule 1 z² = (z^(1a.2), z^(1b.2)) ((3, 3), (3, 3))",
        "rule 2 δ² = (δ³, δ³, …) ((3, 3), (3, 3))",
        "δ^(1b.2) = δ²₁ (3, 3)",
        "rule 2 δ¹ = δ^(1a.1) + δ^(1b.1) (3, 2)",
    ):
        assert line in said, line


def test_a_layer_used_twice_has_a_chain_for_each_place():
    cost = Sequential(Repeat(Linear(2, 2, rng=0), 2), MSELoss())
    said = " ".join(str(explain(cost, X, X)).split())
    assert "z² = z¹ Wᵀ + b" in said
    assert "z³ = z² Wᵀ + b" in said
    assert "∂C/∂W = δ⁴ · (∂z⁴/∂z³) · (∂z³/∂z²) · (∂z²/∂W) + δ⁴ · (∂z⁴/∂z³) · (∂z³/∂W)" in said
    assert "to the bit" in said


def test_the_parts_of_a_gradient_are_no_gradients_and_their_sum_is_shown():
    shared = Linear(2, 2, rng=0)
    explanation = explain(Sequential(shared, Tanh(), shared, MSELoss()), X, X)
    said = " ".join(str(explanation).split())
    assert "∂C/∂W =" not in said.partition("The chain")[0]
    assert said.count("a part of ∂C/∂W") == 2
    line = "∂C/∂W = δ⁵ · (∂z⁵/∂z⁴) · (∂z⁴/∂z³) · (∂z³/∂z²) · (∂z²/∂W) + δ⁵ · (∂z⁵/∂z⁴) · (∂z⁴/∂W) (2, 2)"
    rows = " ".join(f"[ {a:.4g} {b:.4g} ]" for a, b in explanation.gradients["0.weight"])
    assert f"{line} = {rows} 0.weight" in said
    assert "Checked: these gradients, added up from their parts, are those of cost.parameter_gradients, to " in said
    exercise = explain(Sequential(shared, Tanh(), shared, MSELoss()), X, X, blank=(2, 3, "weight"))
    said = " ".join(str(exercise).split())
    assert f"{line} = ____ 0.weight" in said
    assert "____ (2, 2) the part of ∂C/∂W that this place gives" in said
    assert exercise.answer(lambda delta, z: delta.T @ z)
    assert "a part of ∂C/∂W" in str(exercise.solution())


def test_a_sum_in_another_order_agrees_to_rounding():
    class Other(Repeat):
        """Whose gradients are added up a little differently."""

        def parameter_gradients(self, delta, cache):
            return {name: array * (1 + 4e-15) for name, array in super().parameter_gradients(delta, cache).items()}

        def backpropagate(self, delta, cache):
            dz, gradients = super().backpropagate(delta, cache)
            return dz, {name: array * (1 + 4e-15) for name, array in gradients.items()}

    cost = Sequential(Other(Linear(2, 2, rng=0), 2), MSELoss())
    assert str(explain(cost, X, X)).endswith("are those of cost.parameter_gradients, to rounding.")


def test_a_penalty_is_a_term_of_the_chain_and_of_the_sum():
    cost = Penalized(by_hand(), L2Penalty(0.5, "*.weight"))
    explanation = explain(cost, np.array([[3.0, 1.0], [0.0, 2.0]]), np.array([[1.0], [-4.0]]))
    said = " ".join(str(explanation).split())
    assert "rule 3 (δ²)ᵀ z¹ (1, 2) = [ 3 3 ] a part of ∂C/∂W" in said
    assert "rule 3 0.5 δ⁴ W (1, 2) = [ 0.5 -1 ] added by L2Penalty(0.5, '*.weight') to ∂C/∂W" in said
    line = "∂C/∂W = δ⁴ · (∂z⁴/∂z³) · (∂z³/∂z²) · (∂z²/∂W) + 0.5 δ⁴ W (1, 2)"
    assert f"{line} = [ 3.5 2 ] 0.weight" in said
    assert "∂C/∂b = δ⁴ · (∂z⁴/∂z³) · (∂z³/∂z²) · (∂z²/∂b) (1,) 0.bias" in said


def test_penalties_that_are_not_what_is_added_are_seen():
    class Doubled(Penalized):
        """That adds its penalties twice."""

        def with_gradients(self, delta, gradients):
            return super().with_gradients(delta, super().with_gradients(delta, gradients))

    said = str(explain(Doubled(by_hand(), L2Penalty(0.5)), X, X[:, :1]))
    assert "NOT as cost.parameter_gradients gives them" in said


def test_what_is_kept_has_no_rule_3():
    said = str(explain(Sequential(Linear(2, 2, rng=0), Frozen(Linear(2, 2, rng=1)), MSELoss()), X, X))
    assert "Linear(2 -> 2) at 1.inner, kept as it is: rule 3 is skipped" in said
    assert "∂C/∂W¹" in said
    assert "∂C/∂W²" not in said


def test_penalties_are_added():
    class Cubic(Penalty):
        """sum |theta|^3."""

        def of(self, theta):
            return np.sum(np.abs(theta) ** 3)

        def gradient(self, theta):
            return 3 * theta * np.abs(theta)

    cost = Penalized(by_hand(), L2Penalty(0.5, "*.weight"), L1Penalty(0.25, "*.bias"), Cubic(2.0, "*.bias"))
    said = [" ".join(line.split()) for line in str(explain(cost, X, X[:, :1])).splitlines()]
    for line in (
        "rule 1 z⁴ = z³ + 0.25 Σ W² + 0.25 Σ |b| + 2 R(b) a number",
        "rule 2 δ³ = δ⁴ a number",
        "rule 3 0.5 δ⁴ W (1, 2)",
        "added by L2Penalty(0.5, '*.weight') to ∂C/∂W",
        "rule 3 0.25 δ⁴ sign(b) (1,)",
        "rule 3 2 δ⁴ · (∂R/∂b) (1,)",
    ):
        assert line in said, line


def test_penalties_of_users_may_be_written():
    class Cubic(Penalty):
        """sum theta^3."""

        written = (r"\sum \theta^3", r"3 \d \theta^2")

        def of(self, theta):
            return np.sum(theta**3)

        def gradient(self, theta):
            return 3 * theta**2

    said = " ".join(str(explain(Penalized(by_hand(), Cubic(1.0, "*.weight")), X, X[:, :1])).split())
    assert "z⁴ = z³ + Σ W³" in said
    assert "rule 3 3 δ⁴ W² (1, 2)" in said
    Cubic.written = (r"\sum \theta)", "")
    with pytest.raises(FormulaError) as caught:
        explain(Penalized(by_hand(), Cubic(1.0, "*.weight")), X, X[:, :1])
    assert caught.value.__notes__ == ["in written of Cubic(1, '*.weight')"]


def test_a_container_of_a_user():
    class Twice(Container):
        """f(2 g(z))."""

        def __init__(self, g, f):
            self.g, self.f = g, f

        def children(self):
            return [("g", self.g), ("f", self.f)]

        def forward(self, z):
            middle, of_g = self.g.forward(z)
            z_next, of_f = self.f.forward(2 * middle)
            return z_next, (of_g, of_f)

        def backward(self, delta, caches):
            return self.g.backward(2 * self.f.backward(delta, caches[1]), caches[0])

        def parameter_gradients(self, delta, caches):
            below = 2 * self.f.backward(delta, caches[1])
            return self.gather(
                [self.g.parameter_gradients(below, caches[0]), self.f.parameter_gradients(delta, caches[1])]
            )

    said = [
        " ".join(line.split()) for line in str(explain(Sequential(Twice(Double(), Tanh()), Total()), X)).splitlines()
    ]
    for line in (
        "z^(1a.1) = z¹ (3, 2)",
        "rule 1 z^(1a.2) = f(z^(1a.1); a) (3, 2)",
        "z^(1b.1) (3, 2)",
        "what Twice hands to 0.f",
        "rule 1 z² = f(z¹) (3, 2)",
        "δ^(1b.2) = δ² (3, 2)",
        "what Twice hands down to 0.g",
        "rule 2 δ¹ = δ² · (∂z²/∂z¹) (3, 2)",
    ):
        assert line in said, line


# Layers of users.


def test_a_layer_without_formulas_is_shown_as_f():
    said = " ".join(str(explain(Sequential(Double(), Double(), Total()), X)).split())
    for line in ("z² = f(z¹; a¹)", "∂C/∂a² = δ³ · (∂z³/∂a²)", "δ² = δ³ · (∂z³/∂z²)"):
        assert line in said, line
    hint = (
        'Double has no formulas. In its class, formulas = Formulas(forward=r"...", backward=r"...", '
        'gradients={"a": r"..."}) from minigrad.typing shows them here; in their LaTeX \\z is z, \\y is z_next and '
        "\\d is delta."
    )
    assert said.count(hint) == 1


def test_formulas_of_a_user_and_their_definitions():
    class Scaled(Double):
        """With formulas."""

        formulas = Formulas(
            r"s \z,\quad s = \frac{a}{1}", r"a \d", {"a": r"\sum \d \odot \z"}, {"a": "a"}, "gamma is a word"
        )

    said = " ".join(str(explain(Sequential(Scaled(), Total()), X)).split())
    assert "z² = s z¹ (3, 2)" in said
    assert "with s = a/1 where γ is a word" in said
    assert "∂C/∂a = Σ δ² ⊙ z¹" in said


def test_formulas_that_cannot_be_read():
    class Wrong(Double):
        """With a formula that is none."""

        formulas = Formulas(r"a \z)", r"a \d")

    with pytest.raises(FormulaError) as caught:
        explain(Sequential(Wrong(), Total()), X)
    assert str(caught.value) == r"the formula 'a \\z)' cannot be read: ) closes nothing"
    assert caught.value.__notes__ == ["in formulas.forward of Wrong()"]
    Wrong.formulas = {"forward": "a"}
    with pytest.raises(TypeError) as caught:
        explain(Sequential(Wrong(), Total()), X)
    assert str(caught.value) == (
        "Wrong() must have formulas as minigrad.typing.Formulas(forward=..., backward=...), got dict"
    )


def test_rules_that_disagree_are_said():
    class Apart(Double):
        """Another backpropagate than its rules 2 and 3."""

        def backpropagate(self, delta, z):
            return 2 * delta, {"a": np.asarray(7.0)}

    said = " ".join(str(explain(Sequential(Apart(), Total()), X)).split())
    assert "NOT as cost.parameter_gradients gives them: check_layer(cost, x, target) says which rules disagree." in said


def test_nothing_is_moved():
    cost = Sequential(Linear(2, 4, rng=0), BatchNorm1d(4), Dropout(0.5, rng=1), MSELoss())
    before = cost.state()["1.running_mean"].copy()
    state = cost[2].rng.bit_generator.state
    first, second = (str(explain(cost, X, np.ones((3, 4)))) for _ in range(2))
    assert first == second
    assert "to the bit" in first
    assert np.array_equal(cost.state()["1.running_mean"], before)
    assert cost[2].rng.bit_generator.state == state


@pytest.mark.parametrize(
    ("cost", "arguments", "got"),
    [
        (Sequential(Linear(2, 3)), (), "got (3, 3) from Sequential(Linear)"),
        (Sequential(Branch(Tanh(), Tanh())), (), "got tuple from Sequential(Branch)"),
        (MSELoss("none"), (X,), "got (3, 2) from MSELoss(none)"),
    ],
)
def test_only_a_cost_is_explained(cost, arguments, got):
    assert raised(ValueError, explain, cost, X, *arguments) == (
        f"explain expects a cost that is one number, {got}: "
        "end the stack with a loss of reduction 'mean' or 'sum', and pass its target after x"
    )
    with pytest.raises(TypeError, match=r"^explain expects a layer, got str: pass the model or the cost itself$"):
        explain("cost", X)


@pytest.mark.parametrize("x", [np.zeros((0, 2)), np.full((2, 2), np.nan), np.ones((2, 2), np.float32), X + 1j])
def test_any_numbers(x):
    explanation = explain(Sequential(Linear(2, 1, rng=0), Total()), x)
    assert "to the bit" in str(explanation)
    assert explanation._repr_html_() == explanation.html()
    assert repr(explanation) == str(explanation)
    assert explanation.latex()


def test_a_cost_without_parameters():
    said = str(explain(Sequential(Tanh(), MSELoss()), X, X))
    assert said.endswith("The cost has no parameters, so that there is no rule 3 to check.")
    assert "The chain" not in said


# Formulas that depend on the pass.


def where_in(cost, *arguments, **options) -> str:
    return unicodedata.normalize("NFC", " ".join(str(explain(cost, *arguments, **options)).split()))


W3, P3 = np.array([1.0, 2.0, 0.5]), np.array([[0.2, 0.8], [1.0, 0.0], [0.5, 0.5]])


@pytest.mark.parametrize(
    ("loss", "arguments", "options", "words"),
    [
        (MSELoss(), (X,), {"weights": W3}, "z² = (1/(D Σ u)) Σ u ⊙ (z¹ - t)² a number"),
        (MSELoss(), (X, W3), {}, "u are the weights given, one for each row, of D entries"),
        (MSELoss(), (X, abs(X)), {}, "δ¹ = (2/(Σ u)) u ⊙ (z¹ - t) δ²"),
        (MSELoss(), (X,), {}, "where t is the target; M counts its entries C ="),
        (NLLLoss(), (np.array([0, 1, 1]), W3), {}, "z² = -(1/(Σₙ uₙ)) Σₙ uₙ z¹[n, tₙ]"),
        (NLLLoss(ignore_index=1), (np.array([0, 1, 1]),), {}, "where t is 1, term and derivative are 0, and it is not"),
        (CrossEntropyLoss(), (P3,), {}, "z² = -(1/N) Σₙ Σₖ t[n, k] (z¹[n, k] - log Σⱼ exp z¹[n, j])"),
        (CrossEntropyLoss(), (np.array([0, 1, 1]),), {}, "z² = -(1/N) Σₙ (z¹[n, tₙ] - log Σⱼ exp z¹[n, j])"),
    ],
)
def test_losses_say_what_they_do_in_this_pass(loss, arguments, options, words):
    assert words in where_in(loss, X, *arguments, **options)


def test_formulas_of_a_subclass_go_before_those_of_the_pass():
    class Own(MSELoss):
        """With its own."""

        formulas = Formulas(r"\sum \z", r"\d")

    assert "z² = Σ z¹" in where_in(Own(), X, X)


def test_rows_of_several_axes_are_said():
    words = "the rows n are those of all axes but the last"
    cost = Sequential(Linear(2, 2, rng=0), LayerNorm(2), RBF(2, 2, rng=0), MSELoss())
    z = np.ones((2, 3, 2))
    assert where_in(cost, z, z).count(words) == 2
    assert words not in where_in(cost, z[0], z[0])
    cost = Sequential(Branch(Identity(), Tanh()), Bilinear(2, 2, 2, rng=0), MSELoss())
    assert words in where_in(cost, z, z)
    assert "n counts the rows along all axes before these; ε is" in where_in(Sequential(LayerNorm(2), MSELoss()), z, z)
    assert "n counts all entries of z" in where_in(Sequential(Embedding(3, 2), Total()), np.array([[0, 1], [2, 2]]))


def test_recurrent_layers_with_states_and_attention_of_three():
    z = np.ones((2, 3, 2))
    said = where_in(Sequential(LSTM(2, 2, rng=0), MSELoss()), (z, z[:, 0], z[:, 1]), z)
    assert "δ¹ = (āₜ W, ā₁ V, s\u0304₁ ⊙ f₁)" in said
    assert "aₜ = (z¹₀)ₜ Wᵀ + b" in said
    assert said.index("rule 3 ∂C/∂W = Σₜ āᵀₜ (z¹₀)ₜ (8, 2) with āₜ = ") < said.index("rule 2 δ¹ = (āₜ W")
    assert said.count("with āₜ = ") == 1  # where it is first used
    said = where_in(Sequential(MultiHeadAttention(2, 1, rng=0), MSELoss()), (z, z, z), z)
    assert "δ¹ = (q\u0304 W¹_Q, k\u0304 W¹_K, v\u0304 W¹_V)" in said
    mask = np.tri(3, dtype=bool)
    said = where_in(Masked(mask), z, z)
    assert "softmax(qᵢ kᵀᵢ/√E + M)" in said
    assert "M is 0 where a row may attend" in said


class Masked(Sequential):
    """Attention with a mask of this batch, and a loss."""

    def __init__(self, mask):
        self.mask = mask
        super().__init__(MultiHeadAttention(2, 1, rng=0), MSELoss())

    def forward(self, z, target):
        z, of_attention = self[0].forward(z, self.mask[np.newaxis].repeat(len(z), 0))
        value, of_loss = self[1].forward(z, target)
        return value, (of_attention, of_loss)

    def backward(self, delta, cache):
        return self[0].backward(self[1].backward(delta, cache[1]), cache[0])

    def parameter_gradients(self, delta, cache):
        return self.gather([self[0].parameter_gradients(self[1].backward(delta, cache[1]), cache[0]), {}])

    def backpropagate(self, delta, cache):
        return self.backward(delta, cache), self.parameter_gradients(delta, cache)


def test_what_stands_inside_of_attention_has_its_numbers():
    z = np.ones((2, 3, 4))
    said = where_in(Sequential(MultiHeadAttention(4, 2, rng=0), MSELoss()), z, z)
    assert "rule 1 z² = z^(1.2) (2, 3, 4) with Aᵢ = " in said
    assert "[Ā₁, Ā₂, …] = δ^(1.1)" in said
    assert "∂C/∂W¹ = Σₙ [q\u0304ₙ, k\u0304ₙ, v\u0304ₙ]ᵀ z¹ₙ" in said


def test_letters_are_those_of_the_formulas():
    assert "Φ is the distribution function of the normal distribution, φ its density" in where_in(
        Sequential(GELU(), MSELoss()), X, X
    )
    images = np.ones((1, 1, 2, 2))
    said = where_in(Sequential(MaxPool2d(2), MSELoss()), images, images[..., :1, :1])
    assert "m[" not in said.partition("Downwards")[0]
    assert "with m[n, c, r, s] = the place of the first largest entry of the window" in said
    z = np.ones((2, 3, 4))
    said = where_in(Sequential(PositionalEncoding(), MSELoss()), z, z)
    assert "at step t; base = 10000, D = 4" in said


def test_pages_of_latex_may_break():
    assert explain(by_hand(), X, X[:, :1]).latex().startswith("{\\allowdisplaybreaks\n")


# A rule left blank.


def forms(explanation):
    return {"text": str(explanation), "latex": explanation.latex(), "html": explanation.html()}


@pytest.mark.parametrize(
    ("blank", "formulas", "kept"),
    [
        ((2, "backward"), ("δ⁴ W", r"\delta^{4} W", "δ² W"), "(δ⁴)ᵀ z³"),
        (("2", "parameter_gradients", "weight"), ("(δ⁴)ᵀ z³", "(δ²)ᵀ z¹"), "Σₙ δ⁴ₙ"),
        (("2", 3), ("(δ⁴)ᵀ z³", "(δ²)ᵀ z¹", "Σₙ δ"), "δ⁴ W³"),
        (("1", "forward"), ("tanh",), "(1 - (z³)²)"),
        (("4", "forward"), ("[n, tₙ]",), "[k = tₙ]"),
    ],
)
def test_the_blank_hides_formula_and_numbers(blank, formulas, kept):
    exercise, whole = explain(classifier(), X, LABELS, blank=blank), explain(classifier(), X, LABELS)
    for name, said in forms(exercise).items():
        for formula in formulas:
            assert formula not in said, name
        for array in exercise._asked.hidden:
            assert f"{np.abs(array).max():.4g}" not in said, name
    assert "____" in str(exercise)
    assert "____" in exercise.html()
    assert r"\underline{\hspace{3em}}" in exercise.latex()
    assert kept in str(exercise)
    assert "____" not in str(whole)
    assert formulas[0] in str(whole) + whole.latex()
    assert any(formula in str(exercise.solution()) for formula in formulas)
    assert str(exercise.solution()).startswith("The solution: rule ")


def test_what_is_at_hand():
    said = " ".join(str(explain(classifier(), X, LABELS, blank=("2", "backward"))).split())
    assert (
        "To write: rule 2, backward, of layer 2, Linear(2 -> 3) "
        "These names are at hand; .answer(lambda delta, z: ...) takes a function that gives the array. "
        "δ³ = ____ (3, 2) delta = δ⁴ (3, 3) z = z³ (3, 2) z_next = z⁴ (3, 3) cache what rule 1 kept "
        "weight = W³ (3, 2) bias = b³ (3,)"
    ) in said
    said = " ".join(str(explain(classifier(), X, LABELS, blank=(4, 1))).split())
    assert ".answer(lambda z, target: ...) takes a function that gives the array. z⁶ = ____ a number z = z⁵" in said
    said = " ".join(str(explain(classifier(), X, LABELS, blank=(2, 3))).split())
    assert "takes a function that gives a dictionary of arrays by name." in said


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


RIGHT = [
    ((2, "backward"), lambda delta, weight: delta @ weight),
    ((2, 3, "weight"), lambda delta, z: delta.T @ z),
    ((2, 3, "weight"), lambda delta, cache: delta.T @ cache),
    ((2, 3), lambda delta, z: {"weight": delta.T @ z, "bias": delta.sum(axis=0)}),
    ((1, 2), lambda delta, z_next: delta * (1 - z_next**2)),
    ((3, 2), lambda delta, z_next: delta - np.exp(z_next) * delta.sum(axis=1, keepdims=True)),
    ((4, 2), lambda delta, z, target: -delta * np.eye(z.shape[1])[target] / len(z)),
    ((2, 1), lambda z, weight, bias: z @ weight.T + bias),
    ((3, 1), lambda z: np.log(softmax(z))),
    ((4, "forward"), lambda z, target: -z[np.arange(len(z)), target].mean()),
]


@pytest.mark.parametrize(("blank", "function"), RIGHT)
def test_right_answers(blank, function):
    verdict = explain(classifier(), X, LABELS, blank=blank).answer(function)
    assert verdict, verdict
    assert str(verdict).startswith("Right: rule ")


WRONG = [
    ((2, 2), lambda delta, weight: delta @ weight / len(delta), "it is the right one divided by N, the size of the"),
    ((2, 2), lambda delta, weight: -delta @ weight, "it is minus the right one"),
    ((2, 3, "bias"), lambda delta: delta.mean(axis=0), "a mean for a sum"),
    ((1, 2), lambda delta, z: delta * (1 - z**2), "the derivative is taken at the input"),
    ((1, 2), lambda delta: delta, "the local derivative"),
    ((2, 1), lambda z, weight, bias: z @ weight.T, "it gives"),
    ((1, 1), lambda z: -np.tanh(z), "its sign is wrong; seen with the z of the explanation"),
    ((4, 1), lambda z, target: -z[np.arange(len(z)), target].sum(), "it is N times the right one, the size of"),
    ((4, 1), lambda z, target: -z[np.arange(len(z)), target].mean() / len(z), "it is the right one divided by N, the"),
    ((1, 1), lambda z: np.tanh(z) + 1, "it is off by 1 everywhere; seen with the z of the explanation"),
    ((1, 1), lambda z: np.tanh(z) if len(z) == 3 else z, "seen with a batch of one"),
]


@pytest.mark.parametrize(("blank", "function", "words"), WRONG)
def test_wrong_answers_say_how_it_shows(blank, function, words):
    exercise = explain(classifier(), X, LABELS, blank=blank)
    verdict = exercise.answer(function)
    assert not verdict
    assert str(verdict).startswith("Not right: rule ")
    assert words in " ".join(str(verdict).split())
    assert repr(verdict) == str(verdict)


NONE_YET = [
    (
        (2, 2),
        lambda delta, w: delta @ w,
        "it takes w, and at hand are delta, z, z_next, cache, weight, bias: name what it takes after these",
    ),
    ((2, 2), lambda *all_: all_, "it takes all_, and at hand are delta, z, z_next, cache, weight, bias: name what it"),
    ((2, 2), lambda delta: delta / None, "it raises TypeError: unsupported operand type(s) for /: 'float' and"),
    ((2, 2), lambda delta: delta, "it gives shape (3, 3), and dC/dz has that of z, (3, 2)"),
    ((2, 2), lambda: None, "it gives None, and must give dC/dz: a return is missing"),
    ((2, 2), lambda delta: [delta], "it must give dC/dz as an array, got list"),
    ((2, 3, "bias"), lambda delta: delta, "it gives shape (3, 3), and dC/dbias has that of bias, (3,)"),
    ((2, 3), lambda delta: delta, "it must give a dictionary of weight, bias, got ndarray of float64 and shape (3, 3)"),
    ((2, 3), lambda delta: {"weight": delta}, "it must give a dictionary of weight, bias, got the names weight"),
    (
        (2, 3),
        lambda delta, weight: {"weight": weight, "bias": delta},
        "it gives shape (3, 3), and dC/dbias has that of bias, (3,)",
    ),
    ((1, 1), lambda z: z[0], "it gives shape (2,), and z_next has (3, 2)"),
]


@pytest.mark.parametrize(("blank", "function", "words"), NONE_YET)
def test_what_is_no_answer_yet(blank, function, words):
    verdict = explain(classifier(), X, LABELS, blank=blank).answer(function)
    assert not verdict
    assert str(verdict).startswith("Not an answer yet: rule ")
    assert words in " ".join(str(verdict).split())


def test_an_answer_that_writes_into_what_it_is_given_is_wrong():
    def writing(delta, weight):
        delta *= 1.0
        return delta @ weight

    verdict = explain(classifier(), X, LABELS, blank=(2, 2)).answer(writing)
    assert not verdict
    assert "writes" in str(verdict)


def test_rule_1_of_a_random_layer_has_no_one_answer():
    cost = Sequential(Dropout(0.5, rng=0), MSELoss())
    assert raised(ValueError, explain, cost, X, X, blank=(0, "forward")) == (
        "layer 0, Dropout(0.5), draws random numbers in rule 1, so that no answer can be compared with it"
    )
    drawn = explain(cost, X, X, blank=(0, "backward"))
    assert drawn.answer(lambda delta, cache: delta * cache)


def test_inside_of_containers_and_several_inputs():
    cost = Sequential(Residual(Sequential(Linear(2, 2, rng=0), Tanh())), Branch(Identity(), Tanh()), Add(), MSELoss())
    exercise = explain(cost, X, X, blank=("0.inner.0", "backward"))
    assert exercise.answer(lambda delta, weight: delta @ weight)
    joint = explain(cost, X, X, blank=(2, "backward"))
    assert joint.answer(lambda delta: (delta, delta))
    verdict = joint.answer(lambda delta: delta)
    assert "it must give dC/dz as a tuple of 2 arrays, got ndarray of float64 and shape (3, 2)" in str(verdict)


def test_without_a_blank_there_is_nothing_to_answer():
    explanation = explain(classifier(), X, LABELS)
    needs = "needs a rule that was left blank: explain(cost, x, target, blank=('0', 'backward'))"
    assert raised(ValueError, explanation.answer, np.tanh) == f"answer {needs}"
    assert raised(ValueError, explanation.solution) == f"solution {needs}"
    with pytest.raises(TypeError, match=r"^answer expects a function, such as lambda delta, z: ..., got int$"):
        explain(classifier(), X, LABELS, blank=(0, 1)).answer(3)


EXAMPLE = "('0', 'backward'), or ('0', 'parameter_gradients', 'weight')"


@pytest.mark.parametrize(
    ("blank", "kind", "message"),
    [
        ("2", TypeError, f"explain expects blank as place and rule, {EXAMPLE}, got '2'"),
        ((2,), TypeError, f"explain expects blank as place and rule, {EXAMPLE}, got (2,)"),
        ((9, 1), ValueError, "explain finds no layer at place '9' to leave blank: there are 0, 1, 2, 3, 4"),
        (
            (0, "sideways"),
            ValueError,
            "explain expects a rule to leave blank in ('forward', 'backward', 'parameter_gradients'), got 'sideways'",
        ),
        (
            (0, 2, "weight"),
            ValueError,
            "explain expects the name of a parameter for rule 3 alone, got 'weight' for rule 2",
        ),
        ((0, 3, "c"), ValueError, "layer 0, Linear(2 -> 2), has no parameter 'c': it has weight, bias"),
        ((1, 3), ValueError, "layer 1, Tanh(), has no parameters: rule 3 has nothing to give"),
        (
            (0, 2.0),
            ValueError,
            "explain expects a rule to leave blank in ('forward', 'backward', 'parameter_gradients'), got 2.0",
        ),
        ((0, 3, ["bias"]), ValueError, "layer 0, Linear(2 -> 2), has no parameter ['bias']: it has weight, bias"),
    ],
)
def test_what_cannot_be_left_blank(blank, kind, message):
    assert raised(kind, explain, classifier(), X, LABELS, blank=blank) == message


def test_rules_that_do_not_run_cannot_be_left_blank():
    frozen = Sequential(Linear(2, 2), Frozen(Linear(2, 2)), MSELoss())
    said = raised(ValueError, explain, frozen, X, X, blank=("1.inner", 3))
    assert said == "layer 1.inner, Linear(2 -> 2), is kept as it is: rule 3 has nothing to give"
    words = Sequential(Embedding(4, 2, rng=0), Linear(2, 3, rng=0), CrossEntropyLoss())
    assert raised(ValueError, explain, words, LABELS, LABELS, blank=(0, 2)) == (
        "layer 0, Embedding(4 -> 2), has no rule 2 to ask for here: "
        "its z is ndarray of int64 and shape (3,), and has no delta"
    )
    assert explain(words, LABELS, LABELS, blank=(1, 2)).answer(lambda delta, weight: delta @ weight)


class Siamese(Container):
    """One layer on both halves of z, and rule 2 in the order of rule 1."""

    def __init__(self, inner):
        self.inner = inner

    def children(self):
        return [("inner", self.inner)]

    def forward(self, z):
        results = [self.inner.forward(half) for half in np.split(z, 2, axis=1)]
        return np.concatenate([z_next for z_next, _ in results], axis=1), [cache for _, cache in results]

    def backward(self, delta, caches):
        halves = zip(np.split(delta, 2, axis=1), caches, strict=True)
        return np.concatenate([self.inner.backward(half, cache) for half, cache in halves], axis=1)

    def parameter_gradients(self, delta, caches):
        halves = zip(np.split(delta, 2, axis=1), caches, strict=True)
        found = [self.inner.parameter_gradients(half, cache) for half, cache in halves]
        return self.gather([{name: found[0][name] + found[1][name] for name in found[0]}])


def test_of_a_layer_that_runs_twice_the_last_run_is_shown_and_all_are_added_up():
    z = np.array([[0.1, -0.1, 0.6, 0.1], [-0.5, 0.4, 1.3, 0.9]])
    cost = Sequential(Siamese(Linear(2, 1, rng=0)), Linear(2, 2, rng=1), CrossEntropyLoss())
    said = str(explain(cost, z, np.array([0, 1])))
    assert said.count("Linear(2 -> 1) at 0.inner, which runs 2 times: here is the last") == 2
    assert "a part of ∂C/∂W^(1.1)" in said
    assert said.count("the same of its other runs") == 2
    assert "Checked: these gradients, added up from their parts, are those of cost.parameter_gradients, to the" in said
    # Of the last run: its z is the second half of x, and its delta that of the second output.
    delta = trace(cost, z, np.array([0, 1])).layers[1].delta[:, 1:]
    first, second = (delta.T @ z[:, 2:])[0]
    assert f"[ {first:.4g}  {second:.4g} ]" in said
