"""The layer cake: all that it says, in order, in a file that is well formed and legible."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from browser import CHROMIUM, contrast, findings, measure

from minigrad import (
    Bilinear,
    Branch,
    Concatenate,
    Container,
    Conv2d,
    CrossEntropyLoss,
    Dropout,
    Embedding,
    Flatten,
    L2Penalty,
    Layer,
    Linear,
    LogSoftmax,
    MSELoss,
    NLLLoss,
    Penalized,
    ReLU,
    Residual,
    Sequential,
    Tanh,
    transformer_encoder_block,
)
from minigrad.pictures import layer_cake
from minigrad.pictures.cake import LayerCake
from minigrad.pictures.glyphs import histogram
from minigrad.pictures.svg import cut, end, lines, width, words
from minigrad.pictures.wording import number
from minigrad.watching.statistics import statistics
from minigrad.watching.trace import trace

SVG = "{http://www.w3.org/2000/svg}"
X = np.random.default_rng(0).normal(size=(20, 6))
LABELS = np.arange(20) % 3


class Odd(Layer):
    """A layer whose repr is all that XML has trouble with."""

    def forward(self, z):
        return z, None

    def backward(self, delta, cache):
        return delta

    def __repr__(self):
        return "Odd(<&>\"'\x00\x1b\ud800, " + "very " * 40 + "long)"


def regression() -> Sequential:
    return Sequential(Linear(6, 3, rng=0), LogSoftmax(), NLLLoss())


def deep(layers: int) -> Sequential:
    hidden = [f for i in range(layers) for f in (Linear(6 if i == 0 else 8, 8, rng=i), Tanh())]
    return Sequential(*hidden, Linear(8, 3, rng=99), CrossEntropyLoss())


def transformer() -> Sequential:
    blocks = [transformer_encoder_block(8, 2, rng=i) for i in range(2)]
    return Sequential(Linear(4, 8, rng=2), *blocks, Flatten(), Linear(24, 3, rng=3), CrossEntropyLoss())


def branches() -> Sequential:
    return Sequential(
        Branch(Linear(6, 8, rng=0) >> ReLU(), Linear(6, 4, rng=1)), Concatenate(), Linear(12, 3), MSELoss()
    )


def nested(depth: int) -> Layer:
    return Residual(Linear(6, 6, rng=depth) >> nested(depth - 1)) if depth else Tanh()


def convolution() -> Sequential:
    block = Residual(Conv2d(2, 2, 3, padding=1, rng=1) >> ReLU())
    return Sequential(Conv2d(1, 2, 3, padding=1, rng=0), block, Flatten(), Linear(32, 3, rng=2), CrossEntropyLoss())


CAKES = {
    "three layers": lambda **o: layer_cake(regression(), X, LABELS, **o),
    "thirty layers": lambda **o: layer_cake(deep(14), X, LABELS, **o),
    "a Transformer": lambda **o: layer_cake(transformer(), X[:, :4, np.newaxis].repeat(4, 2)[:, :3], LABELS, **o),
    "branches": lambda **o: layer_cake(branches(), X, X[:, :3], **o),
    "a convolution": lambda **o: layer_cake(convolution(), X[:, :1, None, None].repeat(4, 2).repeat(4, 3), LABELS, **o),
    "no loss": lambda **o: layer_cake(deep(1)[:-1], X, **o),
    "integers": lambda **o: layer_cake(
        Sequential(Embedding(9, 4, rng=0), Flatten(), Linear(8, 3, rng=0), CrossEntropyLoss()),
        np.arange(40).reshape(20, 2) % 9,
        LABELS,
        **o,
    ),
    "odd words": lambda **o: layer_cake(
        Sequential(Odd(), Linear(6, 1, bias=False, rng=0), MSELoss()), X, X[:, :1], **o
    ),
    "a penalty": lambda **o: layer_cake(Penalized(regression(), L2Penalty(0.5)), X, LABELS, **o),
    "shared": lambda **o: layer_cake(
        Sequential(Linear(6, 6, rng=0), Sequential(*[Linear(6, 6, rng=1)] * 2), MSELoss()), X, X, **o
    ),
    "NaN": lambda **o: layer_cake(regression(), np.where(X > 1, np.nan, X), LABELS, **o),
    "deep inside": lambda **o: layer_cake(Sequential(nested(8), MSELoss()), X, X, **o),
    "a trace": lambda **o: layer_cake(trace(deep(2), X, LABELS, keep=False), **o),
}


def read(cake: LayerCake) -> ET.Element:
    return ET.fromstring(cake.svg)


def texts(root: ET.Element) -> list[str]:
    return [element.text for element in root.iter(f"{SVG}text")]


# What it says.


def test_every_number_is_there():
    """Against the formulas of softmax regression, written out."""
    cost = regression()
    w, b = cost[0].weight, cost[0].bias
    z2 = X @ w.T + b
    z3 = z2 - np.log(np.exp(z2).sum(axis=1, keepdims=True))
    d2 = (np.exp(z3) - np.eye(3)[LABELS]) / 20
    d3 = -np.eye(3)[LABELS] / 20
    d1 = d2 @ w
    said = texts(read(layer_cake(cost, X, LABELS)))
    for level, z, delta in (("¹", X, d1), ("²", z2, d2), ("³", z3, d3)):
        assert f"z{level} {z.shape}" in said
        assert f"mean {number(z.mean())}, spread {number(z.std())}" in said
        assert f"δ{level} {delta.shape}" in said
        assert f"spread {number(delta.std())}, norm {number(np.linalg.norm(delta))}" in said
    for name, array, gradient in (("weight (3, 6)", w, d2.T @ X), ("bias (3,)", b, d2.sum(axis=0))):
        size, of_gradient = (np.sqrt((a**2).mean()) for a in (array, gradient))
        i = said.index(name)
        numbers = {f"size {number(size)}", f"gradient {number(of_gradient)}", f"ratio {number(of_gradient / size)}"}
        assert set(said[i + 1 : i + 4]) == numbers
    value = -z3[np.arange(20), LABELS].mean()
    assert f"z⁴ = C = {number(value)}" in said
    assert "δ⁴ = ∂C/∂C = 1" in said
    assert said[0] == f"Layer cake: 3 layers, 21 parameters, C = {number(value)}"
    assert "target (20,)" in said


@pytest.mark.parametrize("name", CAKES)
def test_it_is_well_formed_and_the_layers_stand_in_order(name):
    cake = CAKES[name]()
    root = read(cake)
    boxes = [g for g in root.iter(f"{SVG}g") if g.get("data-box") == "layer"]
    pills = [float(g.find(f"{SVG}rect").get("y")) for g in root.iter(f"{SVG}g") if g.get("data-box") == "pill"]
    heights = [float(g.find(f"{SVG}rect").get("y")) for g in boxes]
    assert heights == sorted(heights), "from the top down"
    assert pills[0] < heights[0] < heights[-1] < pills[-1]
    left = float(boxes[0].find(f"{SVG}rect").get("x"))
    for text in root.iter(f"{SVG}text"):
        if re.match("z[⁰¹²³⁴⁵⁶⁷⁸⁹]", text.text):
            assert float(text.get("x")) < left
        if re.match("δ[⁰¹²³⁴⁵⁶⁷⁸⁹]", text.text):
            assert float(text.get("x")) > left
    assert {f"z{'⁰¹²³⁴⁵⁶⁷⁸⁹'[level]}" for level in range(1, min(len(boxes), 9))} <= {said[:2] for said in texts(root)}


def test_the_layers_are_named_from_the_cost_down():
    for cake, cost in ((CAKES["thirty layers"](), deep(14)), (CAKES["branches"](), None)):
        titles = [g.find(f"{SVG}title").text for g in read(cake).iter(f"{SVG}g") if g.get("data-box") == "layer"]
        expected = (
            [f"{i} {layer!r}" for i, layer in enumerate(cost)]
            if cost
            else [
                *("0.0.0 Linear(6 -> 8)", "0.0.1 ReLU()", "0.1 Linear(6 -> 4)"),
                *("1 Concatenate(axis=-1)", "2 Linear(12 -> 3)", "3 MSELoss(mean)"),
            ]
        )
        assert titles == expected[::-1]


def test_containers_are_drawn_around_their_layers():
    root = read(CAKES["a Transformer"]())
    frames = {
        g.find(f"{SVG}title").text: g.find(f"{SVG}rect") for g in root.iter(f"{SVG}g") if g.get("data-box") == "frame"
    }
    layers = {
        g.find(f"{SVG}title").text.split()[0]: g.find(f"{SVG}rect")
        for g in root.iter(f"{SVG}g")
        if g.get("data-box") == "layer"
    }
    assert {"1  Sequential", "1.0  Residual: z + f(z)", "2.1  Residual: z + f(z)"} <= frames.keys()

    def ends(rect):
        x, y, wide, high = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
        return x, y, x + wide, y + high

    for title, frame in frames.items():
        place = title.split()[0]
        x, y, right, foot = ends(frame)
        for name, layer in layers.items():
            a, b, c, d = ends(layer)
            inside = x < a and y < b and c < right and d < foot
            assert inside == f"{name}.".startswith(f"{place}."), (title, name)
            assert inside or d <= y or b >= foot


def test_layer_10_does_not_stand_in_container_1():
    cost = Sequential(Linear(6, 6, rng=0), Residual(Tanh() >> Tanh()), *[Tanh() for _ in range(9)], MSELoss())
    root = read(layer_cake(cost, X, X))
    frame, *others = [g.find(f"{SVG}rect") for g in root.iter(f"{SVG}g") if g.get("data-box") == "frame"]
    assert not others
    inside = [
        g.find(f"{SVG}title").text.split()[0]
        for g in root.iter(f"{SVG}g")
        if g.get("data-box") == "layer" and float(g.find(f"{SVG}rect").get("x")) > float(frame.get("x"))
    ]
    assert inside == ["1.inner.1", "1.inner.0"]


def test_of_a_trace_places_tell_of_the_containers():
    found = trace(transformer(), X[:, :4, np.newaxis].repeat(4, 2)[:, :3], LABELS)
    titles = [
        g.find(f"{SVG}title").text for g in read(layer_cake(found)).iter(f"{SVG}g") if g.get("data-box") == "frame"
    ]
    assert {"1", "1.0", "1.1", "2.0"} <= set(titles)


def test_a_trace_and_a_cost_say_the_same():
    cost = deep(2)
    of_cost, of_trace = layer_cake(cost, X, LABELS), layer_cake(trace(cost, X, LABELS))
    assert of_cost.description == of_trace.description
    assert set(texts(read(of_cost))) - set(texts(read(of_trace))) == {"target (20,)"}
    kept_nothing = layer_cake(trace(cost, X, LABELS, keep=False))
    assert kept_nothing.description == of_cost.description


def test_without_a_loss_nothing_comes_down():
    cake = layer_cake(deep(1)[:-1], X)
    said = texts(read(cake))
    assert "output" in said
    assert not [text for text in said if text.startswith(("δ", "↓", "C ="))]
    assert cake.title == "Layer cake: 3 layers, 83 parameters"
    output = deep(1)[:-1](X)
    assert "z⁴ (20, 3)" in said
    assert f"mean {number(output.mean())}, spread {number(output.std())}" in said
    assert f"output; z⁴ (20, 3), mean {number(output.mean())}" in cake.description
    assert not [text for text in said if "ratio" in text or "gradient" in text]


def test_below_a_layer_without_rule_2_there_is_no_delta():
    class Scaled(Layer):
        def forward(self, z):
            return 2 * z, None

    said = texts(read(layer_cake(Sequential(Scaled(), Linear(6, 3, rng=0), CrossEntropyLoss()), X, LABELS)))
    assert "δ¹ none" in said
    assert "δ³ (20, 3)" in said


def test_nan_is_said():
    root = read(CAKES["NaN"]())
    said, lost = texts(root), int((X > 1).sum())
    assert "mean NaN, spread NaN" in said
    assert f"z¹ (20, 6), {lost} of 120 not finite" in said
    assert "δ³ (20, 3)" in said, "of what is finite nothing is said"
    assert f"{lost} of 120 not finite" in root.find(f"{SVG}desc").text


def test_of_what_is_not_finite_the_rest_is_drawn():
    """As high as of the rest alone; of nothing else, and of large numbers, there is no error."""
    z = np.repeat([0.0, 0.3, 1.0, np.nan, np.inf], [1, 2, 4, 1, 1])[:, np.newaxis] * np.ones(6)

    def heights(z):
        floor = statistics(z)
        drawn = histogram(z, floor, 0, 100, 50, 30, "up-fill")
        return re.findall(r'<rect x="[^"]*" y="([^"]*)"', drawn)

    assert heights(z) == heights(z[np.isfinite(z).all(axis=1)]) != []
    assert heights(z * np.nan) == []
    assert len(heights(np.array([-1.7e308, 0.0, 1.7e308]))) == 3


def test_several_inputs_and_no_rows():
    pair = Sequential(Bilinear(6, 2, 3, rng=0), CrossEntropyLoss())
    said = texts(read(layer_cake(pair, (X, X[:, :2]), LABELS)))
    assert "z¹ (20, 6) (20, 2)" in said
    assert "δ¹ (20, 6) (20, 2)" in said
    empty = layer_cake(Sequential(Linear(6, 3, rng=0), CrossEntropyLoss("sum")), X[:0], LABELS[:0])
    assert texts(read(empty)).count("no entries") == 4
    assert "z¹ (0, 6)" in texts(read(empty))


def test_a_shared_parameter_is_told_once_with_the_gradient_of_all_places():
    layer = Linear(6, 6, rng=0)
    cost = Sequential(layer, Tanh(), layer, Linear(6, 3, rng=1), CrossEntropyLoss())
    gradient = cost.parameter_gradients(1.0, cost.forward(X, LABELS)[1])["0.weight"]
    said = texts(read(layer_cake(cost, X, LABELS)))
    assert f"gradient {number(np.sqrt((gradient**2).mean()))}" in said[said.index("weight (6, 6)") :][:4]
    assert {"gradient \N{EN DASH}", "ratio \N{EN DASH}"} < set(said[said.index("weight (6, 6) as 0.weight") :][:4])


@pytest.mark.parametrize("as_trace", [False, True])
def test_penalties_stand_under_the_cost(as_trace):
    plain = regression()
    cost = Penalized(plain, L2Penalty(0.5, "*.weight"))
    loss, value = (each.forward(X, LABELS)[0] for each in (plain, cost))
    gradient = cost.parameter_gradients(1.0, cost.forward(X, LABELS)[1])["0.weight"]
    cake = layer_cake(trace(cost, X, LABELS)) if as_trace else layer_cake(cost, X, LABELS)
    said = texts(read(cake))
    what = "more" if as_trace else "of penalties"
    assert f"C = {number(value)} = z⁴ + {number(value - loss)} {what}" in said
    assert {f"z⁴ = {number(loss)}", "δ⁴ = ∂C/∂z⁴ = 1", f"gradient {number(np.sqrt((gradient**2).mean()))}"} < set(said)
    assert said[0].endswith(f"C = {number(value)}")


class Half(Container):
    """Half of a cost."""

    def __init__(self, cost):
        self.cost = cost

    def children(self):
        return [("cost", self.cost)]

    def forward(self, z, target):
        value, cache = self.cost.forward(z, target)
        return value / 2, cache

    def backward(self, delta, cache):
        return self.cost.backward(delta / 2, cache)

    def parameter_gradients(self, delta, cache):
        return self.gather([self.cost.parameter_gradients(delta / 2, cache)])


@pytest.mark.parametrize("as_trace", [False, True])
def test_the_delta_on_top_is_that_which_comes_down(as_trace):
    plain = regression()
    value, cost = plain.forward(X, LABELS)[0], Half(plain)
    cake = layer_cake(trace(cost, X, LABELS)) if as_trace else layer_cake(cost, X, LABELS)
    said = texts(read(cake))
    assert {f"C = {number(value / 2)}", f"z⁴ = {number(value)}", "δ⁴ = ∂C/∂z⁴ = 0.5"} < set(said)


def test_arrows_of_z_point_up_and_those_of_delta_down():
    """The tip of a triangle is its third point, above or below the side that the first two make."""
    drawn = read(layer_cake(regression(), X, LABELS))
    for role, way in (("up-fill", -1), ("down-fill", 1)):
        heads = [path.get("d") for path in drawn.iter(f"{SVG}path") if path.get("class") == role]
        tips = [float(tip) for head in heads for tip in re.findall(r"^M[-\d. ]+h10l-5 (-?[\d.]+)z$", head)]
        assert len(tips) == 3
        assert all(np.sign(tip) == way for tip in tips)


def test_the_histogram_counts_the_entries():
    """Heights of the bars are in proportion to the counts of NumPy's histogram."""
    z = np.repeat([0.0, 0.3, 1.0], [1, 2, 4])[:, np.newaxis] * np.ones(6)
    root = read(layer_cake(Sequential(Linear(6, 1, rng=0), MSELoss()), z, z[:, :1]))
    bars = [rect for rect in root.iter(f"{SVG}rect") if rect.get("class") == "up-fill"]
    at = max(float(bar.get("y")) + float(bar.get("height")) for bar in bars)
    lowest = [float(bar.get("height")) for bar in bars if float(bar.get("y")) + float(bar.get("height")) == at]
    np.testing.assert_allclose(np.array(lowest) / lowest[-1], [0.25, 0.5, 1.0], atol=0.01)


def test_the_bars_of_deltas_are_in_proportion_to_their_logarithms():
    cost = deep(14)
    found = trace(cost, X, LABELS)
    root = read(layer_cake(found))
    bars = [float(rect.get("width")) for rect in root.iter(f"{SVG}rect") if rect.get("class") == "down-fill"]
    norms = np.log10([one.of_delta.norm for one in reversed(found.layers)])
    slope, foot = np.polyfit(norms, bars, 1)
    np.testing.assert_allclose(bars, slope * norms + foot, atol=0.02)
    assert slope > 0


def test_bars_begin_where_their_scale_does():
    root = read(layer_cake(deep(3), X, LABELS))
    frames = {(rect.get("x"), rect.get("y")) for rect in root.iter(f"{SVG}rect") if rect.get("class") == "scale"}
    bars = {(rect.get("x"), rect.get("y")) for rect in root.iter(f"{SVG}rect") if rect.get("class") == "down-fill"}
    assert frames == bars
    assert len(bars) == 8


def test_the_tick_is_at_0():
    z = np.array([-1.0, 0.5, 3.0])
    ticks = re.findall(r'<line x1="([\d.]+)"[^>]*class="tick"', histogram(z, statistics(z), 100, 50, 40, 20, "up-fill"))
    assert ticks == ["110"]
    assert "tick" not in histogram(z + 2, statistics(z + 2), 100, 50, 40, 20, "up-fill")


def test_nothing_is_moved():
    cost = Sequential(Linear(6, 3, rng=0), Dropout(0.5, rng=1), CrossEntropyLoss())
    before = cost[1].rng.bit_generator.state
    layer_cake(cost, X, LABELS)
    assert cost[1].rng.bit_generator.state == before


# As a file, and for those who do not see it.


def test_it_has_a_title_and_says_in_words_what_is_shown():
    cake = layer_cake(regression(), X, LABELS)
    root = read(cake)
    assert root.get("role") == "img"
    ids = {element.get("id"): element.text for element in root.iter() if element.get("id")}
    assert [ids[name] for name in root.get("aria-labelledby").split()] == [cake.title, cake.description]
    for part in ("From x at the bottom up to C = ", "0 Linear(6 -> 3); z¹ (20, 6), mean ", "weight (3, 6), size "):
        assert part in cake.description
    assert repr(cake) == f"LayerCake({cake.title!r})"
    assert str(cake) == cake.description


def test_two_pictures_do_not_disturb_each_other():
    one, other = layer_cake(regression(), X, LABELS), layer_cake(deep(1), X, LABELS)
    ids = [{element.get("id") for element in read(cake).iter() if element.get("id")} for cake in (one, other)]
    assert not ids[0] & ids[1]
    for cake in (one, other):
        root = read(cake)
        rules = root.find(f"{SVG}style").text.replace("@media (prefers-color-scheme:dark){", "")
        selectors = [each for rule in re.findall(r"([^{}]+)\{", rules) for each in rule.split(",")]
        assert selectors
        assert all(each.startswith(f"#{root.get('id')} .") for each in selectors)


def test_the_same_picture_is_the_same_file():
    assert layer_cake(regression(), X, LABELS).svg == layer_cake(regression(), X, LABELS).svg


def test_themes():
    auto, light, dark = (layer_cake(regression(), X, LABELS, theme=theme).svg for theme in ("auto", "light", "dark"))
    assert "prefers-color-scheme:dark" in auto
    assert "prefers-color-scheme" not in light + dark
    assert ("fill:#ffffff" in light, "fill:#ffffff" in dark) == (True, False)
    message = r"layer_cake expects theme in \('light', 'dark', 'auto'\), got 'blue'"
    with pytest.raises(ValueError, match=message):
        layer_cake(regression(), X, LABELS, theme="blue")


def test_long_names_are_cut_and_said_in_full():
    root = read(CAKES["odd words"]())
    names = [text for text in texts(root) if text.startswith("Odd")]
    assert names == [names[0]]
    assert names[0].endswith("…")
    full = [title.text for title in root.iter(f"{SVG}title") if title.text.startswith("0 Odd")]
    assert full == [
        "0 "
        + " ".join(repr(Odd()).split()).replace("\x00", "\ufffd").replace("\x1b", "\ufffd").replace("\ud800", "\ufffd")
    ]


def test_saving(tmp_path):
    cake = layer_cake(regression(), X, LABELS)
    cake.save(tmp_path / "cake.svg")
    assert ET.parse(tmp_path / "cake.svg").getroot().get("id") == read(cake).get("id")
    cake.save(str(tmp_path / "cake.html"))
    page = (tmp_path / "cake.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert cake.svg in page
    for name in ("cake.png", "cake"):
        with pytest.raises(
            ValueError, match=rf"^save expects a file that ends in .svg or .html, got '{name}': cake.svg$"
        ):
            cake.save(tmp_path / name)
        assert not (tmp_path / name).exists()


def test_notebooks_show_it():
    cake = layer_cake(regression(), X, LABELS)
    assert cake._repr_svg_() == cake._repr_html_() == cake.svg


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: layer_cake(regression()),
            r"layer_cake expects x after the cost, got None: layer_cake\(cost, x, target\)",
        ),
        (
            lambda: layer_cake(trace(regression(), X, LABELS), X),
            "layer_cake expects a Trace alone, or a cost, x and its",
        ),
        (lambda: layer_cake(Linear, X), "expects a layer, got the class Linear"),
        (lambda: layer_cake(regression(), X[:, :5], LABELS), r"expects z of shape \(batch, 6\), got \(20, 5\)"),
    ],
)
def test_messages(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


# How wide text is.


def test_text_is_cut_and_broken_to_fit():
    assert cut("short", 100) == "short"
    long = "a word that is long " * 5
    assert cut(long, 100).endswith("…")
    assert width(cut(long, 100)) <= 100 < width(long)
    assert all(width(line) <= 120 for line in lines(long, 120))
    assert " ".join(lines(long, 120)) == long.strip()
    assert width("漢字") >= 24
    assert width("e\u0301") == width("é") == width("e")


def test_places_are_cut_at_their_start():
    assert end("2.inner.0", 200) == "2.inner.0"
    place = "0.inner.1." * 9
    assert end(place, 100).startswith("…")
    assert place.endswith(end(place, 100)[1:])
    assert width(end(place, 100)) <= 100


def test_words_are_escaped():
    assert words("<a & 'b' \"c\">") == "&lt;a &amp; &#x27;b&#x27; &quot;c&quot;&gt;"
    assert words("\x00\ud800\uffff") == "\ufffd" * 3


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "\u2013"),
        (np.nan, "NaN"),
        (-np.inf, "\u2212∞"),
        (-1.5e-7, "\u22121.5e\u22127"),
        (2345.6, "2.35e3"),
        (0.0, "0"),
    ],
)
def test_numbers(value, said):
    assert number(value) == said


# In a browser.


def planted(name: str) -> str:
    """A picture with a fault."""
    inside = {
        "nothing": '<text x="20" y="40" fill="#333">sound</text>',
        "overlap": '<text x="20" y="40" fill="#333">one text</text><text x="60" y="44" fill="#333">another</text>',
        "clipped": '<text x="150" y="40" fill="#333">a text that goes on</text>',
        "out of its box": '<g data-box="layer"><rect x="10" y="20" width="50" height="30" fill="#eee"/>'
        '<text x="14" y="40" fill="#333">wider than that</text></g>',
        "faint": '<rect x="5" y="5" width="150" height="80" fill="#777"/><text x="20" y="40" fill="#333">faint</text>',
        "faint by opacity": '<text x="20" y="40" fill="#333" opacity="0.4">faint</text>',
        "faint in the dark": "<style>#p .a{fill:#333}#p .b{fill:#fff}"
        "@media (prefers-color-scheme:dark){#p .b{fill:#222}}</style>"
        '<rect class="b" width="200" height="100"/><text class="a" x="20" y="40">faint</text>',
        "covered": '<text x="20" y="40" fill="#333">covered</text>'
        '<rect x="15" y="20" width="90" height="30" fill="red"/>',
    }[name]
    return f'<svg xmlns="http://www.w3.org/2000/svg" id="p" width="200" height="100" font-size="16">{inside}</svg>'


FAULTS = {
    "nothing": "",
    "overlap": "'one text' overlaps 'another'",
    "clipped": "'a text that goes on' leaves the picture",
    "out of its box": "'wider than that' leaves its box",
    "faint": "'faint' has contrast",
    "faint by opacity": "'faint' has contrast",
    "faint in the dark": "'faint' has contrast",
    "covered": "'covered' is covered",
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    cakes = {name: make().svg for name, make in CAKES.items()}
    for name in ("three layers", "branches"):
        cakes[f"{name}, light"], cakes[f"{name}, dark"] = (CAKES[name](theme=theme).svg for theme in ("light", "dark"))
    faults = {f"planted {name}": planted(name) for name in FAULTS}
    return measure(cakes | faults, tmp_path_factory.mktemp("browser"))


@pytest.mark.parametrize("theme", ["as_it_is", "dark"])
def test_every_cake_is_legible(measured, theme):
    found = {name: findings(of) for name, of in measured[theme].items() if not name.startswith("planted")}
    assert len(found) == len(CAKES) + 4
    assert {name: each for name, each in found.items() if each} == {}
    assert all(len(of["texts"]) > 10 for name, of in measured[theme].items() if not name.startswith("planted"))


@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_are_found(measured, name):
    light, dark = (findings(measured[theme][f"planted {name}"]) for theme in ("as_it_is", "dark"))
    if name in ("nothing", "faint in the dark"):
        assert light == []
    if name == "nothing":
        assert dark == []
    else:
        assert any(each.startswith(FAULTS[name]) for each in dark), dark


def test_the_dark_theme_is_dark(measured):
    for theme, name in (("dark", "three layers"), ("as_it_is", "three layers, dark")):
        behind = measured[theme][name]["texts"][0]["points"][0]["colours"][-1]
        assert max(behind[:3]) < 60
    assert min(measured["as_it_is"]["three layers"]["texts"][0]["points"][0]["colours"][-1][:3]) > 200


def test_no_text_is_wider_than_was_reckoned(measured):
    for name, of in measured["as_it_is"].items():
        for text in of["texts"] if not name.startswith("planted") else ():
            assert text["wide"] <= width(text["said"], text["size"], text["bold"]), (name, text["said"])


def test_contrast_is_that_of_wcag():
    assert contrast([0, 0, 0, 1], []) == pytest.approx(21)
    assert contrast([119, 119, 119, 1], []) == pytest.approx(
        4.48, abs=0.005
    )  # known from the literature: just too faint
    assert contrast([0, 0, 0, 1], [[0, 0, 0, 0.5], [255, 255, 255, 1]]) == pytest.approx(5.28, abs=0.005)
    assert contrast([0, 0, 0, 1], [None]) == 1
