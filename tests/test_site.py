"""The site: what is made for it, and that what is wrong ends its build."""

import html
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from browser import CHROMIUM, OPTIONS
from test_structure import ROOMS

import minigrad
from minigrad import Linear, NLLLoss

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
sys.path.insert(0, str(ROOT))  # `docs` is no part of what is installed

from docs.notebook import executed, notebook  # noqa: E402
from docs.site import mathematics, pictures, reference  # noqa: E402
from docs.site.docstrings import as_markdown  # noqa: E402

needs_mathematics = pytest.mark.skipif(
    importlib.util.find_spec("latex2mathml") is None, reason="latex2mathml is not installed"
)
needs_site = pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="MkDocs is not installed")
PAGES = sorted(path.name for path in DOCS.glob("*.md"))


# The notebook.


def test_the_notebook_is_in_step_with_its_page():
    made = notebook((DOCS / "tutorial.md").read_text())
    assert (DOCS / "tutorial.ipynb").read_text() == made, "run: python -m docs.notebook"


def test_a_notebook_has_words_and_code_in_order():
    page = "# T\n\nWords.\n\n```python\na = 1\nprint(a)\n```\n\n```text\n1\n```\n\n![A](pictures/t-a.svg)\n\nMore.\n"
    cells = json.loads(notebook(page))["cells"]
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in cells] == [
        ("markdown", "# T\n\nWords."),
        ("code", "a = 1\nprint(a)"),
        ("markdown", "More."),
    ]
    assert [cell["id"] for cell in cells] == ["cell-0", "cell-1", "cell-2"]


def test_the_notebook_runs_from_top_to_bottom():
    """In the suite by exec; the build of the site runs it with a kernel."""
    pytest.importorskip("matplotlib").use("agg")
    import matplotlib.pyplot as plt

    namespace: dict = {"__name__": "notebook"}
    cells = [cell for cell in json.loads((DOCS / "tutorial.ipynb").read_text())["cells"] if cell["cell_type"] == "code"]
    assert len(cells) >= 8
    for cell in cells:
        exec(compile("".join(cell["source"]), cell["id"], "exec"), namespace)
    plt.close("all")


# The pages.


def test_every_page_is_in_the_table_of_contents():
    listed = re.findall(r": ([\w-]+\.md)$", (DOCS / "site" / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted([*PAGES, "benchmarks.md", "examples.md"])


def test_the_pages_tell_the_rooms_in_their_order():
    told = re.findall(r"^\| `(\w+)` \|", (DOCS / "contributing.md").read_text(), re.MULTILINE)
    assert told == ROOMS


def test_the_reference_has_every_room():
    assert [room for room in ROOMS if room not in {"checks", "shapes", "softmax_kernels"}] == reference.ROOMS


def test_the_reference_has_every_public_name():
    referred = {name for room in reference.ROOMS for name in reference.public_names(room)} | {*reference.ROOMS}
    assert {*minigrad.__all__} - referred == set()
    assert reference.public_names("layer") == ["Layer"]


def test_pages_without_pictures_are_not_run(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nraise SystemExit\n```\n![elsewhere](growth.svg)\n")
    assert pictures.pictures_of(page) == {}


def test_pictures_come_from_the_code_of_their_page(tmp_path):
    pytest.importorskip("matplotlib")
    page = tmp_path / "page.md"
    code = "class Cake:\n    def _repr_svg_(self):\n        return '<svg/>'\n\n\ncake = Cake()\n"
    page.write_text(f"```python\n{code}```\n![A cake](pictures/page-cake.svg)\n")
    assert pictures.pictures_of(page) == {"pictures/page-cake.svg": "<svg/>"}
    page.write_text(page.read_text().replace("page-cake", "page-cakes"))
    with pytest.raises(
        ValueError, match=r"page\.md shows pictures/page-cakes\.svg, and its code makes nothing called c"
    ):
        pictures.pictures_of(page)
    page.write_text(page.read_text().replace("page-cakes", "other-cake"))
    with pytest.raises(ValueError, match=r"page\.md shows pictures/other-cake\.svg: its pictures are called page-name"):
        pictures.pictures_of(page)


def test_charts_are_drawn_light_and_dark(tmp_path):
    pytest.importorskip("matplotlib")
    page = tmp_path / "page.md"
    code = "from minigrad.pictures import training_curves\nfigure = training_curves({'cost': [2.0, 1.0]})\n"
    page.write_text(f"```python\n{code}```\n![A chart](pictures/page-figure.svg)\n")
    drawn = pictures.pictures_of(page)
    assert sorted(drawn) == ["pictures/page-figure-dark.svg", "pictures/page-figure.svg"]
    dark, light = (re.search(r"fill: (#\w+)", drawn[name])[1] for name in sorted(drawn))
    assert int(dark[1:3], 16) < 50
    assert int(light[1:3], 16) > 200


# Docstrings.

SAMPLE = """A layer of one number, a_b * c, and `as it is *`.

    z_next  =  z <W>
    dz      =  delta

Words before a list:
- the first [1],
  which goes on
- the second

An equation that is not indented:

z_next  =  z
dz      =  delta

>>> 1 + 1
2
>>> "|"
'|'

The end."""

EXPECTED = r"""A layer of one number, a\_b \* c, and `as it is *`.

```text
z_next  =  z <W>
dz      =  delta
```

Words before a list:

- the first \[1\],
  which goes on
- the second

An equation that is not indented:

```text
z_next  =  z
dz      =  delta
```

```pycon
>>> 1 + 1
2
>>> "|"
'|'
```

The end."""


def test_docstrings_become_markdown():
    assert as_markdown(SAMPLE) == EXPECTED


def test_an_equation_may_follow_the_first_sentence_at_once():
    assert as_markdown("One.\n    y  =  x\n\n    w  =  v\n\nTwo.") == "One.\n\n```text\ny  =  x\n\nw  =  v\n```\n\nTwo."


def test_what_markdown_takes_for_its_own_is_as_it_was_written():
    assert as_markdown("For 0 < p <= 1, |x| $.  And then") == "For 0 &#60; p &#60;= 1, &#124;x&#124; &#36;.  And then"
    assert as_markdown("a  the first\nbc  the second") == "```text\na  the first\nbc  the second\n```"


def test_names_that_files_have_too_are_where_they_are_written():
    written = {"mle": "fit.fit", "training": "fit.fit", "watching": "trace.trace", "fusions": "table.plan"}
    for room, path in written.items():
        assert f"\n::: minigrad.{room}.{path}\n" in reference.page(room)
    assert "\n::: minigrad.layers.Linear\n" in reference.page("layers")


def test_no_example_of_a_docstring_is_lost():
    examples = 0
    for room in reference.ROOMS:
        for name in reference.public_names(room) if room != "testing" else ():
            docstring = getattr(importlib.import_module(f"minigrad.{room}"), name).__doc__ or ""
            examples += docstring.count(">>> ")
            fenced = re.findall(r"^```pycon\n(.*?)^```", as_markdown(docstring), re.MULTILINE | re.DOTALL)
            assert "".join(fenced).count(">>> ") == docstring.count(">>> "), name
    assert examples > 20


# Mathematics.


def test_formulas_of_layers_become_a_table():
    table = mathematics.rules(Linear(2, 3).formulas)
    assert re.findall(r'<th scope="row">([^<]*)</th>', table) == ["1 forward", "2 backward", *["3 parameters"] * 2]
    assert r"z_{\text{next}} = z W^\top + b" in table
    assert r"\frac{\partial C}{\partial W} = \delta^\top z" in table
    assert "is <code>weight</code>" in table
    assert "W" not in mathematics.rules(NLLLoss().formulas)


def test_a_power_of_the_output_is_in_brackets():
    assert mathematics.expanded(r"\d (1 - \y^2) \y \delta \dots") == (
        r"\delta (1 - (z_{\text{next}})^2) z_{\text{next}} \delta \dots"
    )


@needs_mathematics
def test_mathematics_is_mathml():
    page = (
        r'<p>If <span class="arithmatex">\(a &lt; b\)</span></p><div class="arithmatex">\['
        + "\n\\sum_n x_n\n"
        + r"\]</div>"
    )
    made = mathematics.with_mathml(page)
    assert "arithmatex" not in made
    assert made.count("<math") == 2
    assert "<mo>&#x0003C;</mo>" in made
    assert '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">' in made


@needs_mathematics
@pytest.mark.parametrize("latex", [r"\nonsense x", r"\begin{aligned} a &= b \end{aligned}"])
def test_mathematics_that_cannot_be_set_is_an_error(latex):
    with pytest.raises(ValueError, match=r"no MathML for .* in "):
        mathematics.mathml(latex)


@needs_mathematics
def test_the_formulas_of_all_layers_can_be_set():
    seen = 0
    for room in reference.OF_LAYERS:
        for name in reference.public_names(room):
            formulas = reference.formulas_of(getattr(importlib.import_module(f"minigrad.{room}"), name))
            if formulas:
                assert "<math" in mathematics.with_mathml(mathematics.rules(formulas))
                seen += 1
    assert seen > 50


def plain(latex: str) -> str:
    """Without tags, a thin space as _ and the application of a function as !."""
    made = mathematics.mathml(latex).replace("&#x02061;", "!")
    said = html.unescape(re.sub(r"<[^>]*>", "", made.replace('<mspace width="0.17em" />', "_")))
    return said.replace("\N{MINUS SIGN}", "-").replace("\N{DOWN TACK}", "^T")


@needs_mathematics
@pytest.mark.parametrize(
    ("latex", "set_as"),
    [
        (r"z \sin(2 a z) / a", "z_sin!(2az)/a"),
        (r"t \log y", "t_log!_y"),
        (r"-\sum_n t_n \log y_n", "-∑ntn_log!_yn"),
        (r"X^\top \operatorname{diag}(p) X", "X^T_diag!(p)X"),
        (r"z \sin^2(a z)", "z_sin2!(az)"),
        (r"(a) \exp(-z) = \max_k z_k", "(a)_exp!(-z)=maxk!_zk"),
        (r"2 \cos\left(z\right), \min", "2_cos!(z),min"),
        (r"\log \log z + \log", "log!_log!_z+log"),
        (r"\frac{t \log y}{2}", "t_log!_y2"),
    ],
)
def test_functions_stand_apart(latex, set_as):
    assert plain(latex) == set_as


# What is beside the pages.


@needs_site
def test_the_list_of_parts_is_told_from_other_lists():
    from docs.site.hooks import on_page_content

    parts = '<ul>\n<li><a href="#a">A</a></li>\n</ul>\n'
    page = f"<h1>T</h1>\n<p>Words.</p>\n{parts}<h2>A</h2>\n{parts}"
    made = on_page_content(page, files=None)
    assert made == page.replace("<ul>", '<ul class="contents">', 1)
    for other in (f"<h1>T</h1>\n<h2>A</h2>\n{parts}", parts.replace("#a", "a.html") + "<h2>A</h2>"):
        assert on_page_content(other, files=None) == other


def test_comments_are_what_is_said_of_attributes():
    pytest.importorskip("griffe")
    from docs.site.griffe_docstrings import comment

    lines = [
        "    # model.summary(shape), a table:",
        "    # how, stands elsewhere.",
        "    summary: Any",
        "",
        "    a: int = 0  # the first",
    ]
    assert comment(lines, 5) == "The first."
    assert comment(lines, 3) == "model.summary(shape), a table: how, stands elsewhere."
    assert comment(lines, 4) == ""


# The build.


def built(folder: Path, source: Path) -> subprocess.CompletedProcess:
    path = os.pathsep.join([str(source), *(entry for entry in sys.path if entry)])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "docs", str(folder)]
    return subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)


def opened(page: Path, query: str, folder: Path) -> str:
    """The page as it is in a browser after its scripts have run."""
    command = [CHROMIUM, *OPTIONS, f"--user-data-dir={folder / 'profile'}"]
    command += ["--dump-dom", page.as_uri() + query]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout


@needs_site
def test_the_site_is_built_and_reads_offline(tmp_path):
    run = built(tmp_path, ROOT)
    assert run.returncode == 0, run.stdout + run.stderr
    pages = {path.name: path.read_text() for path in tmp_path.glob("*.html")}
    assert {page.replace(".md", ".html") for page in PAGES} <= set(pages)
    loaded = re.compile(r"<(?:script|link|img|iframe|source)[^>]*(?:src|href|srcset)=\"?(?:https?:)?//[^>]*")
    for name, text in pages.items():
        assert not loaded.findall(text), name
        assert "arithmatex" not in text, name
        assert "$$" not in text, name
        for picture in re.findall(r'(?:src|srcset)="(pictures/[^"]*)"', text):
            assert "<svg" in (tmp_path / picture).read_text()
    assert pages["derivation.html"].count("<math") > 100
    assert pages["seeing.html"].count("-dark.svg") >= 5
    of_layer = (tmp_path / "reference" / "layer.html").read_text()
    for name in ("formulas", "parameter_names", "state_names", "complex_safe", "rows_independent", "summary"):
        assert f'id="minigrad.layer.Layer.{name}"' in of_layer
    assert "multiply_adds(shape)" in of_layer
    assert f"Open {tmp_path / 'index.html'} in a browser" in run.stdout
    assert "WARNING" not in run.stdout + run.stderr
    assert 'class="contents"' in pages["seeing.html"]
    assert 'class="language-text highlight"' in pages["seeing.html"]
    if CHROMIUM is not None:  # which finds things from the disk, without a server
        assert re.search(r"\d+ matching documents", opened(tmp_path / "index.html", "?q=softmax", tmp_path))
    assert "The rules of <code>AvgPool2d(" in (tmp_path / "reference" / "layers.html").read_text()
    for room in reference.ROOMS:
        headings = (tmp_path / "reference" / f"{room}.html").read_text()
        for name in reference.public_names(room):
            assert re.search(rf'<h2 id="minigrad\.{room}\.(\w+\.)?{name}"', headings), (room, name)
    reference_of_layers = (tmp_path / "reference" / "layers.html").read_text()
    assert 'id="minigrad.layers.Linear"' in reference_of_layers
    assert reference_of_layers.count('class="rules"') > 40
    outputs = [cell["outputs"] for cell in json.loads((tmp_path / "tutorial.ipynb").read_text())["cells"][1::2][:1]]
    assert outputs[0][0]["text"] == ["(400, 2) [259 141]\n"]


@needs_site
def test_what_is_wrong_ends_the_build(tmp_path):
    """In a copy, with a short reference and without pictures, so that it is over soon."""
    for name in ("docs", "examples", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.npz", "*.json"))
    shutil.copy(ROOT / "README.md", tmp_path)
    docs = tmp_path / "docs"
    for page in docs.glob("*.md"):
        page.write_text(re.sub(r"^!\[.*\n", "", page.read_text(), flags=re.MULTILINE))
    rooms, hooks = docs / "site" / "reference.py", docs / "site" / "hooks.py"
    rooms.write_text(
        re.sub(r"ROOMS = \[.*?\]", 'ROOMS = ["layer", "existence"]', rooms.read_text(), count=1, flags=re.DOTALL)
    )
    hooks.write_text(hooks.read_text().replace("submit(executed, ", "submit(str, "))
    wrong = "[a page](nowhere.md) [a part](training.md#nothing) [a file](../minigrad/nothing.py)"
    (docs / "contributing.md").write_text(f"# Wrong\n\n{wrong}\n")
    (docs / "forgotten.md").write_text("# Forgotten\n")

    run = built(tmp_path / "out", tmp_path)
    said = run.stdout + run.stderr
    assert run.returncode != 0
    for part in ("nowhere.md", "#nothing", "nothing.py", "forgotten.md", "Aborted with 4 warnings in strict mode"):
        assert part in said, said


@needs_site
def test_mathematics_that_cannot_be_set_ends_the_build():
    from docs.site.hooks import on_page_content

    with pytest.raises(ValueError, match=r"no MathML for \\nonsense in "):
        on_page_content(r'<span class="arithmatex">\(z \nonsense\)</span>', files=None)


@needs_site
def test_links_to_files_go_to_where_these_are_on_the_site():
    from docs.site.hooks import on_page_markdown

    links = (
        "[a](../benchmarks/README.md) [b](../minigrad/existence) [c](../examples/resume.py) [d](../docs/layers.md#x)"
    )
    assert on_page_markdown(links) == (
        "[a](benchmarks.md) [b](reference/existence.md) [c](examples.md#resume) [d](layers.md#x)"
    )


@needs_site
def test_a_notebook_that_fails_ends_the_build():
    with pytest.raises(Exception, match="ZeroDivisionError"):
        executed(notebook("```python\n1 / 0\n```\n"))
