"""What a diagnosis says, and what the checker survives: layers that hang, exit, return nonsense or draw numbers."""

import ast
import inspect
import signal
import sys
import threading
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import minigrad.testing
from minigrad import BernoulliNLLLoss, Layer, Linear, LogSoftmax, NLLLoss, Sequential, Tanh
from minigrad.testing import CAUSES, Diagnosis, Finding, GradientContractError, check_layer, check_loss, diagnose

Z = np.random.default_rng(0).normal(size=(5, 3))
HERE = Path(__file__)


class Forgetful(Tanh):
    """Its rule 2 is twice the right one <b>&</b>."""

    def backward(self, delta, y):
        return 2 * delta * (1 - y * y)

    def __repr__(self):
        return "Forgetful(<b>&</b>)"


def line_of(method):
    return method.__code__.co_firstlineno


# Findings.


def test_a_finding_carries_the_numbers():
    (finding,) = diagnose(Forgetful(), Z).findings
    assert (finding.rule, finding.cause, finding.array) == (2, "factor", "z")
    assert finding.analytic == pytest.approx(2 * finding.numeric, rel=1e-9)
    assert 0 < finding.error < 1e-6 * abs(finding.numeric)
    assert finding.digits == pytest.approx(0, abs=1e-9)
    assert 0.9 < finding.confidence <= 1
    assert 15 <= finding.wrong <= finding.entries
    assert finding.case == "the input as given"
    assert len(finding.index) == 2
    assert all(0 <= i < n for i, n in zip(finding.index, Z.shape, strict=True))
    assert finding.source == f"{HERE}:{line_of(Forgetful.backward)} in backward"
    assert finding.place == ""


@pytest.mark.parametrize(("error", "digits"), [(1e-3, 3), (1e-5, 5), (1e-7, 7)])
def test_digits_count_how_far_the_two_values_agree(error, digits):
    class Off(Tanh):
        def backward(self, delta, y):
            return (1 + error) * delta * (1 - y * y)

    (finding,) = diagnose(Off(), Z).findings
    assert finding.digits == pytest.approx(digits, abs=0.1)


def test_what_raises_points_to_the_line_that_raised():
    class Raising(Tanh):
        def backward(self, delta, y):
            return helper(delta)

    def helper(delta):
        raise KeyError("gone")

    (finding,) = diagnose(Raising(), Z).findings
    assert (finding.rule, finding.cause) == (2, "raises")
    assert finding.source == f"{HERE}:{line_of(helper) + 1} in helper"
    assert "KeyError" in finding.message


class Bare(Layer):
    """Rule 1 alone."""

    def forward(self, z):
        return z, None


class Unset(Tanh):
    parameter_names = ("b",)


class Number(Unset):
    def __init__(self):
        self.b = 3.0


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Bare, "Bare lacks rule 2: backward(self, delta, cache) -> dC/dz"),
        (Unset, "lists 'b' in parameter_names, and self.b is not set: set it in __init__, np.array(..., dtype=float)"),
        (Number, "self.b must be an array of a floating type, got float: set it in __init__"),
    ],
)
def test_what_the_library_raises_points_to_the_class(kind, said):
    (finding,) = diagnose(kind(), Z).findings
    assert said in finding.message
    assert finding.source == f"{HERE}:{inspect.getsourcelines(kind)[1]} in class {kind.__name__}"


def test_what_cannot_be_copied_points_to_the_class():
    class Locked(Tanh):
        def __init__(self):
            self.lock = threading.Lock()

    (finding,) = diagnose(Locked(), Z).findings
    assert finding.source == f"{HERE}:{inspect.getsourcelines(Locked)[1]} in class Locked"


def test_the_line_is_that_of_the_code_that_runs(tmp_path):
    """Also where the file is another meanwhile, or is none of Python."""
    path = tmp_path / "page.md"
    code = "class Wrong(Tanh):\n    def backward(self, delta, y):\n        return 2 * super().backward(delta, y)\n"
    path.write_text(code)
    namespace = {"Tanh": Tanh, "__name__": "page"}
    exec(compile(f"\n\n{code}", str(path), "exec"), namespace)
    path.write_text("'''never ended (\n" * 9)
    (finding,) = diagnose(namespace["Wrong"](), Z).findings
    assert finding.source == f"{path}:4 in backward"
    exec(
        compile("class Bare(Layer):\n    def forward(self, z):\n        return z, None\n", str(path), "exec"),
        namespace | {"Layer": Layer},
        namespace,
    )
    (finding,) = diagnose(namespace["Bare"](), Z).findings
    assert finding.source == f"{path}:2 in class Bare"
    path.unlink()
    (finding,) = diagnose(namespace["Wrong"](), Z).findings
    assert finding.source == ""


def test_everything_is_imported_without_hypothesis(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    monkeypatch.delitem(sys.modules, "minigrad.testing.exploration", raising=False)
    namespace: dict = {}
    exec("from minigrad.testing import *", namespace)
    assert {"check_layer", "diagnose", "derive"} <= set(namespace)
    assert "layers_in" not in namespace
    assert "layers_in" in dir(sys.modules["minigrad.testing"])


def test_the_error_carries_the_diagnosis():
    with pytest.raises(GradientContractError) as caught:
        check_layer(Forgetful(), Z)
    assert isinstance(caught.value, AssertionError)
    assert isinstance(caught.value.diagnosis, Diagnosis)
    assert str(caught.value) == str(caught.value.diagnosis)
    assert not caught.value.diagnosis.ok


def emitted():
    """The codes that stand as literals in a Guess, a Finding or a RuleError, or are assigned to a cause."""
    found = {}
    for path in Path(minigrad.testing.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            values = []
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                place = {"Guess": 0, "Finding": 1, "RuleError": 2}.get(node.func.id)
                values = [] if place is None else node.args[place : place + 1]
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
                names = [getattr(target, "id", "") for target in node.targets[0].elts]
                if names[:1] in (["cause"], ["code"]) and isinstance(node.value, ast.Tuple):
                    values = node.value.elts[:1]
            for value in values:
                choices = (value.body, value.orelse) if isinstance(value, ast.IfExp) else (value,)
                found |= {c.value: path.name for c in choices if isinstance(c, ast.Constant)}
    return found


def test_every_code_that_can_be_emitted_is_explained():
    codes = emitted()
    assert len(codes) > 35
    assert not set(codes) - set(CAUSES)
    assert list(CAUSES) == sorted(CAUSES)


def test_every_code_that_is_explained_can_be_emitted():
    """It stands as a literal somewhere beside the table."""
    literals = []
    for path in Path(minigrad.testing.__file__).parent.glob("*.py"):
        literals += [n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant)]
    # Some stand before a colon that parts them from the words.
    heads = [value.split(":")[0] for value in literals if isinstance(value, str)]
    assert not [code for code in CAUSES if heads.count(code) < 2]


# The text and the table.


def test_the_text_of_what_agrees():
    diagnosis = check_layer(Linear(3, 2, rng=0), Z)
    first, *rows, single, last = str(diagnosis).splitlines()
    assert first == "Linear(3 -> 2): the rules agree"
    cells = [["rule", "2", "d/dz", "5x3"], ["rule", "3", "d/dweight", "2x3"], ["rule", "3", "d/dbias", "2"]]
    assert [row.split()[:4] for row in rows] == cells
    assert all("agrees to" in row for row in rows)
    assert single.split()[:3] == ["float32", "agrees", "to"]
    assert f"{diagnosis.cases} cases" in last
    assert f"a relative error of {diagnosis.resolution:.0e} would have been seen" in last
    assert 0 < diagnosis.resolution < 1e-8
    assert all(10 <= agreement.digits <= 16 for agreement in diagnosis.derivatives)
    assert sum(agreement.checked for agreement in diagnosis.derivatives) > 300


def test_the_resolution_is_what_would_have_been_seen():
    for layer in (Linear(3, 2, rng=0), Tanh()):
        resolution = check_layer(layer, Z).resolution

        class Off(type(layer)):
            def backward(self, delta, cache, size=resolution):
                return (1 + 20 * size) * super().backward(delta, cache)

        wrong = Off(3, 2, rng=0) if isinstance(layer, Linear) else Off()
        assert not diagnose(wrong, Z, cases="given").ok


def test_the_text_of_what_is_wrong():
    text = str(diagnose(Forgetful(), Z))
    assert text.startswith("broken rules in Forgetful(<b>&</b>): rule 2\n")
    said = " ".join(text.split())
    for part in ("rule 2, backward, d/dz:", "the rule gives", "cause: factor", "seen with the input as given"):
        assert part in said
    assert "would have been seen" not in text
    assert max(map(len, text.splitlines())) <= 124


class Tree(HTMLParser):
    """Fails where a tag is not closed in order; keeps the text and the tags."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.said = [], [], ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.said += data


@pytest.mark.parametrize("layer", [Tanh(), Forgetful(), Linear(3, 2, rng=0)])
def test_the_table_is_well_formed_and_escaped(layer):
    diagnosis = diagnose(layer, Z)
    tree = Tree(diagnosis._repr_html_())
    assert diagnosis.headline() in tree.said
    assert tree.tags.count("tr") == 1 + len(diagnosis.derivatives)
    assert tree.tags.count("td") == 5 * len(diagnosis.derivatives)
    assert tree.tags.count("pre") == len(diagnosis.findings)
    assert tree.tags.count("b") == 1  # that of the headline alone
    assert ("\u2713" in tree.said) == diagnosis.ok


def test_notes_and_findings_are_escaped():
    finding = Finding(2, "factor", "a < b & c > d", array="<z>")
    diagnosis = Diagnosis("<script>alert(1)</script>", (finding,), notes=("1 < 2 & <i>3</i>",))
    tree = Tree(diagnosis._repr_html_())
    assert not {"script", "i", "z"} & set(tree.tags)
    assert "a < b & c > d" in tree.said
    assert "1 < 2 & <i>3</i>" in tree.said


# Speed, and the signals of the caller.


@pytest.mark.parametrize("layer", [Linear(3, 2, rng=0), LogSoftmax(), NLLLoss()], ids=repr)
def test_a_check_is_quick(layer):
    def once():
        begin = time.process_time()
        check_layer(layer)
        return time.process_time() - begin

    assert min(once() for _ in range(3)) < 0.3


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no alarms on this system")
def test_the_alarm_of_the_caller_goes_on():
    rung = []
    handler = signal.signal(signal.SIGALRM, lambda *_: rung.append(time.monotonic()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 30.0, 7.0)
        mine = signal.getsignal(signal.SIGALRM)
        for layer in (Linear(3, 2, rng=0), Forgetful(), Sequential(Linear(3, 3, rng=0), Tanh())):
            diagnose(layer, Z)
            assert signal.getsignal(signal.SIGALRM) is mine
            remaining, interval = signal.getitimer(signal.ITIMER_REAL)
            assert 10 < remaining < 30
            assert interval == 7.0
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        diagnose(Linear(3, 2, rng=0), Z)  # takes longer than that
        signal.setitimer(signal.ITIMER_REAL, 0) if rung else time.sleep(0.1)
        assert len(rung) == 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def test_a_check_in_another_thread_leaves_no_thread_behind():
    found = []
    before = threading.active_count()
    thread = threading.Thread(target=lambda: found.append(diagnose(Linear(3, 2, rng=0), Z)))
    thread.start()
    thread.join(30)
    assert found[0].ok
    assert threading.active_count() == before


def test_a_loss_must_give_one_number_or_one_for_each_row():
    assert check_loss(NLLLoss()).ok
    with pytest.raises(
        ValueError, match=r"check_loss expects Tanh.* to give one number, or one for each of (the )?5 rows"
    ):
        check_loss(Tanh(), Z)


@pytest.mark.parametrize("cases", ["", "some", None])
def test_cases_are_all_or_given(cases):
    with pytest.raises(ValueError, match="cases to be 'all' or 'given'"):
        diagnose(Tanh(), Z, cases=cases)


@pytest.mark.parametrize("z", [[[1.0]], np.array([[np.nan]]), np.array([["a"]]), np.array([[np.inf, 1.0]])])
def test_what_is_no_input_is_refused(z):
    with pytest.raises((TypeError, ValueError)):
        diagnose(Tanh(), z)


def test_what_is_no_layer_is_refused():
    with pytest.raises(TypeError):
        diagnose(Layer, Z)


# Layers that hang, exit, or return nonsense.


def loop(*_):
    while True:
        pass


def sleep(*_):
    time.sleep(3600)


def leave(*_):
    raise SystemExit(3)


def with_rule(rule, function, base=Tanh):
    """A layer one of whose rules is another function of (self, ...)."""
    method = {1: "forward", 2: "backward", 3: "parameter_gradients"}[rule]
    layer = type("Odd", (base,), {method: function})
    return layer(3, 2, rng=0) if base is Linear else layer()


def in_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()), daemon=True)
    thread.start()
    thread.join(20)
    return found[0]


@pytest.mark.parametrize("rule", [1, 2, 3])
@pytest.mark.parametrize("stuck", [loop, sleep, "thread"])
def test_a_rule_that_hangs_is_a_finding(stuck, rule):
    layer = with_rule(rule, loop if stuck == "thread" else stuck, Linear)
    begin = time.monotonic()
    run = in_thread if stuck == "thread" else lambda function: function()
    diagnosis = run(lambda: diagnose(layer, Z, patience=0.3))
    assert time.monotonic() - begin < 8
    (finding,) = diagnosis.findings
    assert (finding.rule, finding.cause) == (rule, "hangs")
    assert "0.3 s" in finding.message
    assert f"{HERE}:" in finding.source


def test_a_rule_that_hangs_is_found_where_an_input_is_sought():
    assert [f.cause for f in diagnose(with_rule(1, loop), patience=0.3).findings] == ["hangs"]


def gradients(weight):
    return lambda self, delta, z: {"weight": weight, "bias": delta.sum(axis=0)}


@pytest.mark.parametrize(
    ("layer", "rule", "cause", "said"),
    [
        (with_rule(1, leave), 1, "raises", "SystemExit: 3"),
        (with_rule(2, leave), 2, "raises", "SystemExit: 3"),
        (with_rule(1, lambda self, z: "z"), 1, "wrong_type", "must return (z_next, cache) from forward, got str"),
        (with_rule(1, lambda self, z: None), 1, "wrong_type", "got None"),
        (with_rule(1, lambda self, z: (None, None)), 1, "wrong_type", "an array of a floating type, got None"),
        (with_rule(1, lambda self, z: (np.ones(z.shape, int), z)), 1, "wrong_type", "got ndarray of int64"),
        (with_rule(2, lambda self, delta, y: "delta"), 2, "wrong_type", "must return dC/dz"),
        (with_rule(2, lambda self, delta, y: None), 2, "wrong_type", "got None"),
        (with_rule(3, lambda self, delta, z: None, Linear), 3, "wrong_type", "must return a dictionary"),
        (with_rule(3, lambda self, delta, z: [1], Linear), 3, "wrong_type", "got list"),
        (with_rule(3, gradients(None), Linear), 3, "wrong_type", "must give for 'weight' an array"),
        (with_rule(3, gradients(1), Linear), 3, "wrong_type", "must give for 'weight' an array"),
        (with_rule(3, lambda self, delta, z: {}, Linear), 3, "names", "gives none for weight, bias"),
        (with_rule(2, Layer.backward), 2, "missing_rule", "lacks rule 2"),
    ],
)
def test_nonsense_is_a_finding(layer, rule, cause, said):
    first = diagnose(layer, Z).findings[0]
    assert (first.rule, first.cause) == (rule, cause)
    assert said in first.message


# What a layer draws, couples and declares.


class Dropout(Layer):
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def draw(self, shape):
        return self.rng.random(shape)

    def forward(self, z):
        mask = (self.draw(z.shape) < 0.5).astype(z.real.dtype)
        return z * mask, mask

    def backward(self, delta, mask):
        return delta * mask


class WrongDropout(Dropout):
    def backward(self, delta, mask):
        return delta


class GlobalDropout(Dropout):
    def draw(self, shape):
        return np.random.random_sample(shape)  # noqa: NPY002


class LocalDropout(Dropout):
    def draw(self, shape):
        return np.random.default_rng().random(shape)


def test_the_generator_of_a_layer_is_held_fixed():
    layer = Dropout()
    before = layer.rng.bit_generator.state
    diagnosis = check_layer(layer, Z)
    assert diagnosis.stochastic
    assert any("draws random numbers" in note for note in diagnosis.notes)
    assert layer.rng.bit_generator.state == before
    assert not check_layer(Tanh(), Z).stochastic
    assert {finding.rule for finding in diagnose(WrongDropout(), Z).findings} == {2}


@pytest.mark.parametrize("layer", [GlobalDropout(), LocalDropout()], ids=["global", "local"])
def test_random_numbers_from_elsewhere_are_a_finding(layer):
    (finding,) = diagnose(layer, Z).findings
    assert (finding.rule, finding.cause) == (1, "nondeterministic")
    assert "numpy.random.Generator" in finding.message


class Centred(Layer):
    """Subtracts the mean over the batch."""

    def forward(self, z):
        return (z - z.mean(axis=0) if len(z) else z + 0), None

    def backward(self, delta, cache):
        return delta - delta.mean(axis=0) if len(delta) else delta + 0


class Absolute(Layer):
    def forward(self, z):
        return np.abs(z), np.sign(z)

    def backward(self, delta, sign):
        return delta * sign


@pytest.mark.parametrize(
    ("layer", "cause", "declared"),
    [(Centred, "rows_coupled", "rows_independent"), (Absolute, "complex_unsafe", "complex_safe")],
)
def test_what_must_be_declared(layer, cause, declared):
    (finding,) = diagnose(layer(), Z).findings
    assert (finding.rule, finding.cause) == (1, cause)
    assert f"say {declared} = False" in finding.message
    diagnosis = check_layer(type(layer.__name__, (layer,), {declared: False})(), Z)
    assert getattr(diagnosis, declared) is False
    assert any("influence each other" in note for note in diagnosis.notes) == (layer is Centred)
    assert getattr(check_layer(Tanh(), Z), declared) is True


# Inputs.


def test_single_precision_is_judged_in_double():
    diagnosis = check_layer(Linear(3, 2, rng=0), Z.astype(np.float32))
    assert diagnosis.resolution < 1e-8
    assert all(agreement.digits > 10 for agreement in diagnosis.derivatives)

    class Off(Tanh):
        def backward(self, delta, y):
            return delta * (1 - y * y) * delta.dtype.type(1 + 1e-7)

    assert [f.rule for f in diagnose(Off(), Z.astype(np.float32)).findings] == [2]


class OneByOne(Layer):
    """A convolution of width 1: its z is (N, 3, H, W)."""

    parameter_names = ("kernel",)

    def __init__(self):
        self.kernel = np.random.default_rng(0).normal(size=(4, 3))

    def forward(self, z):
        if z.ndim != 4 or z.shape[1] != 3:
            raise ValueError(f"expects (N, 3, H, W), got {z.shape}")
        return np.einsum("oc,nchw->nohw", self.kernel, z), z

    def backward(self, delta, z):
        return np.einsum("oc,nohw->nchw", self.kernel, delta)

    def parameter_gradients(self, delta, z):
        return {"kernel": np.einsum("nohw,nchw->oc", delta, z)}


@pytest.mark.parametrize(
    "layer", [Linear(7, 2, rng=0), NLLLoss(), BernoulliNLLLoss(), OneByOne(), LogSoftmax()], ids=repr
)
def test_an_input_is_found(layer):
    diagnosis = check_layer(layer)
    assert diagnosis.derivatives[0].array == "z"
    assert diagnosis.derivatives[0].checked > 30


def test_where_no_input_is_found_it_says_what_to_pass():
    class Picky(Tanh):
        def forward(self, z):
            raise ValueError("expects the moon")

    with pytest.raises(ValueError, match=r"pass one, check_layer\(layer, z\).*expects the moon"):
        diagnose(Picky())


class Product(Layer):
    """Of two inputs."""

    def forward(self, z):
        a, b = z
        return a * b, (a, b)

    def backward(self, delta, cache):
        a, b = cache
        return delta * b, delta * a


class Exchanged(Product):
    def backward(self, delta, cache):
        return super().backward(delta, cache)[::-1]


class OneDelta(Product):
    def backward(self, delta, cache):
        return delta * cache[1]


def test_a_layer_of_two_inputs():
    diagnosis = check_layer(Product(), (Z, Z + 1))
    assert [agreement.array for agreement in diagnosis.derivatives] == ["z[0]", "z[1]"]
    findings = diagnose(Exchanged(), (Z, Z + 1)).findings
    assert [(f.array, f.cause) for f in findings] == [("z[0]", "exchanged"), ("z[1]", "exchanged")]
    (finding,) = diagnose(OneDelta(), (Z, Z + 1)).findings
    assert finding.cause == "wrong_type"
    assert "a tuple of 2 deltas" in finding.message


class Embedding(Layer):
    """Rows of a table, by whole numbers, which have no derivative."""

    parameter_names = ("table",)

    def __init__(self):
        self.table = np.random.default_rng(0).normal(size=(4, 3))

    def forward(self, z):
        return self.table[z], (z,)

    def backward(self, delta, cache):
        return None

    def parameter_gradients(self, delta, cache):
        gradient = np.zeros(self.table.shape, delta.dtype)
        np.add.at(gradient, cache[0], delta)
        return {"table": gradient}


class Overwriting(Embedding):
    """A row that is used twice gets one delta alone."""

    def parameter_gradients(self, delta, cache):
        gradient = np.zeros(self.table.shape, delta.dtype)
        gradient[cache[0]] = delta
        return {"table": gradient}


INDICES = np.array([0, 1, 3, 1, 2])


def test_whole_numbers_have_no_derivative():
    assert not diagnose(Embedding(), INDICES).findings


def test_parameters_are_checked_where_the_input_is_whole_numbers():
    assert [a.array for a in diagnose(Embedding(), INDICES).derivatives] == ["table"]
    assert [(f.rule, f.array) for f in diagnose(Overwriting(), INDICES).findings] == [(3, "table")]


class Slow(Tanh):
    def forward(self, z):
        time.sleep(0.01)
        return super().forward(z)


class SlowAndWrong(Slow):
    def backward(self, delta, y):
        return -super().backward(delta, y)


def test_slow_layers_end_in_reasonable_time_and_say_so():
    diagnosis = check_layer(Slow(), Z)
    assert diagnosis.seconds < 12
    assert any("rule 1 is slow" in note for note in diagnosis.notes)
    wrong = diagnose(SlowAndWrong(), Z)
    assert wrong.seconds < 24
    assert [f.cause for f in wrong.findings] == ["sign"]


# The cases beside the input as given.


class RowsOnly(Tanh):
    def backward(self, delta, y):
        return np.stack([d * (1 - row * row) for d, row in zip(delta, y, strict=True)])


class Scale(Layer):
    parameter_names = ("a",)

    def __init__(self, start=1.0):
        self.a = np.full(3, start)

    def forward(self, z):
        return self.a * z, z

    def backward(self, delta, z):
        return delta * self.a

    def parameter_gradients(self, delta, z):
        return {"a": (delta * z).sum(axis=0)}


class ForgotScale(Scale):
    def backward(self, delta, z):
        return delta * 1


class AbsoluteScale(Scale):
    """Right for positive parameters."""

    def backward(self, delta, z):
        return delta * np.sqrt(self.a * self.a)


class AtStart(Scale):
    """Wrong where its parameter is 1."""

    def backward(self, delta, z):
        return delta * np.where(self.a == 1, 0 * self.a, self.a)


@pytest.mark.parametrize(
    ("layer", "rule", "case"),
    [
        (RowsOnly(), 2, "an empty batch"),
        (ForgotScale(), 2, "the input as given"),
        (AbsoluteScale(), 2, "parameters of other signs"),
        (AtStart(), 2, "initial parameters"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Layer) else None,
)
def test_mistakes_that_show_in_one_case_alone(layer, rule, case):
    finding = diagnose(layer, Z).findings[0]
    assert (finding.rule, finding.case) == (rule, case)
    assert not diagnose(Scale(), Z).findings


def test_given_looks_at_the_input_as_given():
    assert check_layer(RowsOnly(), Z, cases="given").cases == 1
    assert check_layer(Tanh(), Z).cases > 15


def test_the_same_seed_says_the_same():
    first, second, other = (diagnose(Forgetful(), Z, rng=seed).findings[0] for seed in (3, 3, 4))
    assert first == second
    assert first.analytic != other.analytic
