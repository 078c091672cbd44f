"""What MkDocs calls while it builds: pages that are made, links that leave the pages, mathematics, pictures."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from docs.notebook import executed
from docs.site import reference
from docs.site.mathematics import with_mathml
from docs.site.pictures import pictures_of

ROOT = Path(__file__).parent.parent.parent
MOVED = [  # links to files of the repository, and where these are on the site
    (r"\]\(\.\./benchmarks/README\.md", "](benchmarks.md"),
    (r"\]\(\.\./docs/", "]("),
    (r"\]\(\.\./minigrad/(\w+)/?(?=\))", r"](reference/\1.md"),
    (r"\]\(\.\./examples/(\w+)\.py", r"](examples.md#\1"),
]
IMAGE = re.compile(r'<img alt="([^"]*)" src="((?:[\w.-]+/)*)(pictures/[\w-]+)\.svg" />')

# The list of parts above the first of them: style.css shows it where there is no room for the one beside the page.
CONTENTS = re.compile(r'\A((?:(?!<h2).)*?)<ul>(?=\s*<li><a href="#)', re.DOTALL)


def on_config(config: Any) -> Any:
    """The reference in the table of contents."""
    for entry in config.nav:
        if "Reference" in entry:
            rooms = [{f"{room}": f"reference/{room}.md"} for room in reference.ROOMS]
            entry["Reference"] = [{"All rooms": "reference/index.md"}, *rooms]
    return config


def on_files(files: Files, config: Any) -> Files:
    """The pages that stand elsewhere or are made, and the pictures."""
    with ThreadPoolExecutor(1) as beside:
        book = beside.submit(executed, (ROOT / "docs" / "tutorial.ipynb").read_text())
        made = reference.pages()
        made["benchmarks.md"] = (ROOT / "benchmarks" / "README.md").read_text()
        made |= {path.name: path.read_text() for path in (ROOT / "benchmarks").glob("*.svg")}
        made["examples.md"] = examples()
        for page in sorted((ROOT / "docs").glob("*.md")):
            made |= pictures_of(page)
        made["tutorial.ipynb"] = book.result()
    for path, content in made.items():
        if there := files.get_file_from_path(path):
            files.remove(there)
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to files of the repository, to where these are on the site."""
    for there, here in MOVED:
        markdown = re.sub(there, here, markdown)
    return markdown


def on_page_content(content: str, files: Files, **_: Any) -> str:
    """Mathematics that browsers show, and the dark pictures for those who read in the dark."""

    def in_both_themes(match: re.Match[str]) -> str:
        if not files.get_file_from_path(f"{match[3]}-dark.svg"):
            return match[0]
        source = f'<source srcset="{match[2]}{match[3]}-dark.svg" media="(prefers-color-scheme: dark)" />'
        return f"<picture>{source}{match[0]}</picture>"

    return with_mathml(IMAGE.sub(in_both_themes, CONTENTS.sub(r'\1<ul class="contents">', content, count=1)))


def examples() -> str:
    """The examples, whole."""
    readme = (ROOT / "README.md").read_text()
    parts = ["# Examples", "Plain scripts that assert what they claim: `python examples/custom_layer.py`."]
    for name, said in re.findall(r"^\| `examples/(\w+)\.py` \| (.*) \|$", readme, re.MULTILINE):
        source = (ROOT / "examples" / f"{name}.py").read_text()
        parts += [f"## {name} {{#{name}}}", said[0].upper() + said[1:] + ".", f"```python\n{source}```"]
    return "\n\n".join(parts) + "\n"
