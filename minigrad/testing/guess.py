"""A probable cause."""

from typing import NamedTuple


class Guess(NamedTuple):
    """A cause that explains what was seen: its code, in words, and how sure that is."""

    cause: str
    words: str
    confidence: float
