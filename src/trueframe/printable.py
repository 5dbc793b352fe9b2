"""Text from outside, as a terminal may have it: a file's name must not steer it."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with escapes for what is no letter, sign or space."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
