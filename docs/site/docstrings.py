"""Docstrings of minigrad as Markdown: equations are code, examples are code, and all else is text to the letter."""

import re
from collections.abc import Iterator
from itertools import groupby

ALIGNED = re.compile(r"\S  (=|->)  \S|[^\s.:;,!?)] {2,}\S")  # as equations are, and sentences are not
SPECIAL = re.compile(r"([\\*_#\[\]])|([<>$|])")


def as_markdown(docstring: str) -> str:
    """Indented lines and `>>>` examples fenced, lists set apart, and what Markdown would take for its own escaped."""
    blocks = []
    for kind, lines in groupby(_kinds(docstring.splitlines()), key=lambda pair: pair[0]):
        text = [line for _, line in lines]
        if kind in ("pycon", "text"):
            indent = min(len(line) - len(line.lstrip()) for line in text if line.strip())
            fence = [f"```{kind}", *(line[indent:] for line in text), "```"]
            blocks.append("\n".join(fence).replace("\n\n```", "\n```"))
        else:
            blocks.append("\n".join(map(_escaped, text)))
    return "\n\n".join(block for block in blocks if block.strip())


def _kinds(lines: list[str]) -> Iterator[tuple[str, str]]:
    """(kind, line): an example lasts to an empty line, an equation while lines are indented; the rest by paragraph."""
    kind, paragraph = "", 0
    for i, line in enumerate(lines):
        following = next((later for later in lines[i:] if later.strip()), "")
        if line.lstrip().startswith(">>> "):
            kind = "pycon"
        elif not line.strip():
            goes_on = kind == "text" and following.startswith("    ") and not following.lstrip().startswith(">>> ")
            kind, paragraph = (kind if goes_on else ""), paragraph + 1
        elif kind != "pycon":
            in_list = kind.startswith("list")
            if (line.startswith("    ") or ALIGNED.search(line)) and not in_list:
                kind = "text"
            elif line.startswith(("- ", "1. ")) or (in_list and line.startswith("  ")):
                kind = f"list {paragraph}"
            else:
                kind = f"words {paragraph}"
        yield kind, line


def _escaped(line: str) -> str:
    parts = re.split(r"(`[^`]*`)", line)
    return "".join(part if part.startswith("`") else SPECIAL.sub(_plain, part) for part in parts)


def _plain(match: re.Match[str]) -> str:
    """A backslash before those of which Markdown takes it away again, else the number of the character."""
    return f"\\{match[1]}" if match[1] else f"&#{ord(match[2])};"
