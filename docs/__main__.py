"""python -m docs [folder]: build the site, strictly, into `folder`, by default ./site; needs pip install '.[docs]'."""

import sys
from pathlib import Path

CONFIGURATION = Path(__file__).parent / "site" / "mkdocs.yml"


def main(folder: str = "site") -> None:
    """Build the site; a broken link, or whatever else is wrong, ends it with an error."""
    from mkdocs.__main__ import cli

    where = Path(folder).resolve()
    try:
        cli(["build", "--strict", "-f", str(CONFIGURATION), "-d", str(where)])
    except SystemExit as end:
        if end.code:
            raise
    print(f"Open {where / 'index.html'} in a browser: it needs no server, and no network.")


if __name__ == "__main__":
    main(*sys.argv[1:])
