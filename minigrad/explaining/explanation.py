"""explain: the chain rule of one stack worked through, and with a rule left blank to fill in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.checks import label, require_layer
from minigrad.explaining.blank import Asked, asked_for
from minigrad.explaining.document import Line, Said, Section
from minigrad.explaining.html_page import html_page
from minigrad.explaining.latex_page import latex_page
from minigrad.explaining.naming import Naming, d_by
from minigrad.explaining.rules import Lines
from minigrad.explaining.stack import Worked, delta_at, everywhere, work, z_at
from minigrad.explaining.text_page import text_page
from minigrad.explaining.tree import Blank, Number, Operator, Scripts, Symbol, Tree, Words, equation, partial, row
from minigrad.layer import Layer
from minigrad.losses import Penalized
from minigrad.shapes import shapes_of
from minigrad.typing import Gradients, Input

D_COST, L = partial(Symbol("C"), Symbol("C")), Symbol("l")
NEXT = row(L, Operator("+"), Number("1"))


class Explanation:
    """The chain rule of a stack, worked through.  Print it; notebooks show it; `latex()` and `html()` are the others.

    `value` is the cost and `gradients` are those of its parameters, by name.
    """

    def __init__(self, worked: Worked, asked: Asked | None) -> None:
        self.value: Any = worked.value
        self.gradients: Gradients = worked.gradients
        self._worked, self._asked = worked, asked
        self._naming = Naming(everywhere(worked.nodes))
        self.sections = self._sections(asked)

    def __str__(self) -> str:
        return text_page(self.sections)

    __repr__ = __str__

    def latex(self) -> str:
        r"""A fragment of a LaTeX document; it needs \\usepackage{amsmath, amssymb}."""
        return latex_page(self.sections)

    def html(self) -> str:
        """A piece of HTML whose formulas are MathML, which browsers show without a script."""
        return html_page(self.sections)

    def _repr_html_(self) -> str:
        return self.html()

    def answer(self, function: Callable[..., Any]) -> Any:
        """A verdict on `function` as the rule that was left blank: print it; it is true if the answer is right.

        The function takes what it needs by name, of what is at hand, such as lambda delta, z, weight: ..., and gives
        the array, of rule 3 without a name a dictionary of arrays.  It takes the place of the rule in a copy of the
        layer, and `minigrad.testing.diagnose` checks that at the z of the explanation and at others; for rule 1 it is
        compared with the layer's own.  ValueError where no rule was left blank.
        """
        from minigrad.explaining.answer import judged  # on use: minigrad.testing is large

        return judged(self._require_asked("answer"), function)

    def solution(self) -> Explanation:
        """The formulas and numbers that were left blank (ValueError where none were)."""
        asked = self._require_asked("solution")
        lines = Lines(self._worked, self._naming, None)
        node, naming = asked.node, self._naming
        if asked.rule == 1:
            found = [lines.line(naming.forward(node), node.z_next, node, 1, "")]
        elif asked.rule == 2:
            found = [lines.line(naming.backward(node), node.delta, node, 2, "")]
        else:
            found = [lines.gradient(node, name) for name in asked.names]
        solution = Explanation(self._worked, None)
        solution.sections = (Section(f"The solution: {asked}", (), tuple(found)),)
        return solution

    def _require_asked(self, who: str) -> Asked:
        if self._asked is None:
            raise ValueError(
                f"{who} needs a rule that was left blank: explain(cost, x, target, blank=('0', 'backward'))"
            )
        return self._asked

    def _sections(self, asked: Asked | None) -> tuple[Section, ...]:
        worked = self._worked
        lines = Lines(worked, self._naming, asked)
        first, top = "1", worked.nodes[-1].above if worked.nodes else "1"
        x = worked.nodes[0].z if worked.nodes else None
        intro: Said = (z_at(first), " = x goes in, every layer gives the z above it, and the last is the cost C. ")
        delta: Said = ("δ has the shape of its z: ", equation(_delta_l(), partial(Symbol("C"), _z_l())), ".")
        start = Line(equation(z_at(first), Symbol("x")), shapes_of(x), lines.shown(x))
        target = [
            Line(equation(Words(name)), shapes_of(value), lines.shown(value))
            for name, value in self._arguments().items()
        ]
        end = Line(equation(Symbol("C"), z_at(top)), (), lines.shown(worked.value))
        begin = Line(equation(delta_at(top), D_COST), (), 1.0)
        up = Section("Upwards: rule 1", (), (start, *target, *lines.up(worked.nodes), end))
        rules: Said = (
            equation(_delta_l(), row(_delta_l(1), Operator("cdot"), partial(_z_l(1), _z_l()))),
            " is rule 2, and ",
            equation(d_by(_theta_l()), row(_delta_l(1), Operator("cdot"), partial(_z_l(1), _theta_l()))),
            " rule 3",
        )
        down = Section("Downwards: rules 2 and 3", (rules,), (begin, *lines.down(worked.nodes)))
        sections = [Section(f"{label(worked.cost)}, worked through", (intro, delta)), up, down]
        if asked is not None:
            sections.append(self._to_write(asked))
        chains = lines.chains()
        if chains:
            sections.append(Section("The chain, for each parameter", (_VECTOR_TIMES_MATRIX,), tuple(chains)))
        return (*sections, Section("", (self._check(),)))

    def _arguments(self) -> dict[str, Any]:
        """The target, and what else the layer on top takes, by name."""
        import inspect  # on use: it is slow to import

        leaves = [
            node
            for node in everywhere(self._worked.nodes)
            if not node.insides and not isinstance(node.layer, Penalized)
        ]
        taken = list(inspect.signature(type(leaves[-1].layer).forward).parameters)[2:]
        found = dict(zip(taken, leaves[-1].arguments, strict=False)) | dict(leaves[-1].options)
        return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}

    def _to_write(self, asked: Asked) -> Section:
        """What is to be filled in, and what is at hand for it."""
        node = asked.node
        of = {1: {"": node.z_next}, 2: {"": node.z}, 3: node.parameters}[asked.rule]
        lines = []
        for name in asked.names if asked.rule == 3 else [""]:
            left, shape = self._naming.plain(node, asked.rule, name), shapes_of(of[name])
            if asked.rule == 3 and id(of[name]) in self._worked.summed:
                lines.append(Line(Blank(), shape, said=(("the part of ", left, " that this place gives"),)))
            else:
                lines.append(Line(equation(left, Blank()), shape))
        symbols = {
            "delta": delta_at(node.above),
            "z": z_at(node.below),
            "z_next": z_at(node.above),
        } | {name: self._naming.parameter(node, name) for name in node.parameters}
        for name, value in asked.at_hand().items():
            left = Words(name)
            if name == "cache":  # of any type
                lines.append(Line(left, None, None, (("what rule 1 kept",),)))
            else:
                shape = shapes_of(value) if isinstance(value, np.ndarray | np.generic | float | tuple) else None
                lines.append(Line(equation(left, symbols[name]) if name in symbols else left, shape))
        gives = "a dictionary of arrays by name" if asked.rule == 3 and asked.name is None else "the array"
        wanted = ", ".join(list(asked.at_hand())[:2])
        said: Said = (f"These names are at hand; .answer(lambda {wanted}: ...) takes a function that gives {gives}.",)
        return Section(f"To write: {asked}", (said,), tuple(lines))

    def _check(self) -> Said:
        if not self.gradients:
            return ("The cost has no parameters, so that there is no rule 3 to check.",)
        if self._worked.agreement:
            parts = "these gradients, added up from their parts," if self._worked.summed else "these gradients"
            return (f"Checked: {parts} are those of cost.parameter_gradients, {self._worked.agreement}.",)
        return ("NOT as cost.parameter_gradients gives them: check_layer(cost, x, target) says which rules disagree.",)


_VECTOR_TIMES_MATRIX: Said = (
    "Each factor is a Jacobian. Read from the left it is vector times matrix, and no matrix is ever built: "
    "rules 2 and 3 give the products above.",
)


def explain(cost: Layer, x: Input, *arguments: Any, blank: Any = None, **options: Any) -> Explanation:
    """The chain rule of this very stack worked through: print it.

    Upwards, z^2 = f(z^1), z^3, ..., with the formula of each layer, its shape and, of arrays of at most 4 x 4, its
    numbers; then down from delta = dC/dC = 1 by rules 2 and 3; at the end the chain of factors for each parameter.  The
    rules run once, as in training, on a copy that shares the parameters and moves no state.  Layers give their
    formulas as `formulas`; those without are shown as f.

    `blank=(place, rule)`, such as ("2", "backward"), or (place, "parameter_gradients", name), leaves that rule out,
    formula and numbers, to be filled in: `explanation.answer(lambda delta, weight: ...)` checks an answer.

    TypeError, ValueError unless `cost` is a layer that gives one number, and where there is no such rule to leave out.

    >>> from minigrad import Linear, MSELoss, Sequential
    >>> cost = Sequential(Linear(3, 2, rng=0), MSELoss())
    >>> exercise = explain(cost, np.ones((4, 3)), np.zeros((4, 2)), blank=("0", "backward"))
    >>> print(exercise.answer(lambda delta: delta))
    Not an answer yet: rule 2, backward, of layer 0, Linear(3 -> 2).
      it gives shape (4, 2), and dC/dz has that of z, (4, 3)
    >>> bool(exercise.answer(lambda delta, weight: delta @ weight))
    True
    """
    require_layer(explain, cost)
    worked = work(cost, x, arguments, options)
    return Explanation(worked, None if blank is None else asked_for(worked.nodes, blank))


def _z_l(plus: int = 0) -> Tree:
    return Scripts(Symbol("z"), None, NEXT if plus else L)


def _delta_l(plus: int = 0) -> Tree:
    return Scripts(Symbol("delta"), None, NEXT if plus else L)


def _theta_l() -> Tree:
    return Scripts(Symbol("theta"), None, L)
