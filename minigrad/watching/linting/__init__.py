"""What trains silently wrong: pieces that do not belong together, and data that they do not suit."""

from minigrad.watching.linting.finding import Finding, Lint
from minigrad.watching.linting.linter import lint

__all__ = ["Finding", "Lint", "lint"]
