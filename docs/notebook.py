"""python -m docs.notebook: docs/tutorial.ipynb, made from docs/tutorial.md."""

import json
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PART = re.compile(r"^```(python|text)\n(.*?)^```\n?", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"^!\[[^\]]*\]\(pictures/[^)]*\)\n", re.MULTILINE)


def notebook(page: str) -> str:
    """The text of a notebook: words and Python blocks as cells; outputs and pictures it makes by itself."""
    cells: list[dict[str, Any]] = []
    end = 0
    for part in PART.finditer(page):
        _add(cells, "markdown", page[end : part.start()])
        if part[1] == "python":
            _add(cells, "code", part[2])
        end = part.end()
    _add(cells, "markdown", page[end:])
    whole = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def executed(text: str) -> str:
    """The notebook with the outputs of a run from top to bottom, by a kernel (CellExecutionError)."""
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.reads(text, as_version=4)
    at_root = {"metadata": {"path": str(HERE.parent)}}
    quiet = ["--IPKernelApp.log_level=ERROR"]  # it warns that it talks to this process without encryption
    NotebookClient(book, timeout=120, resources=at_root, extra_arguments=quiet).execute()
    for cell in book.cells:
        cell.metadata.pop("execution", None)  # when it was run is nobody's business
    return nbformat.writes(book) + "\n"


def _add(cells: list[dict[str, Any]], kind: str, text: str) -> None:
    text = PICTURE.sub("", text).strip() if kind == "markdown" else text.strip()
    if not text:
        return
    cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{len(cells)}", "metadata": {}}
    if kind == "code":
        cell |= {"execution_count": None, "outputs": []}
    cells.append({**cell, "source": text.splitlines(keepends=True)})


if __name__ == "__main__":
    (HERE / "tutorial.ipynb").write_text(notebook((HERE / "tutorial.md").read_text()))
