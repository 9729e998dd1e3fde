"""What the scanners of streamed text share: a look ahead that never guesses, and which scripts write without spaces.

A decision that reads text only through `Lookahead` is the same however the text was cut into chunks: a character that has
not come yet is `Unseen`, and the decision is made again when more is there. It never takes "nothing more yet" for "nothing".
"""

from __future__ import annotations

import re
from collections.abc import Set

WIDE = re.compile("[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe6f\uff00-\uffef\U00020000-\U0003fffd]")
"""Han, kana, Hangul, Yi and their full- and half-width signs: a character of them takes about as long to say as three Latin letters."""


class Unseen(Exception):
    """The decision hangs on a character that has not come yet."""


class Lookahead:
    """Text of which `limit` characters may be read; when `final`, nothing follows it."""

    __slots__ = ("final", "limit", "text")

    def __init__(self, text: str, *, final: bool = False) -> None:
        self.text = text
        self.limit = len(text)
        self.final = final

    def char(self, i: int) -> str:
        """The character at `i`, "" after the end of all text. Raises `Unseen`."""
        if i < self.limit:
            return self.text[i]
        if self.final and i >= len(self.text):
            return ""
        raise Unseen

    def skip(self, i: int, wanted: Set[str]) -> int:
        """The first position from `i` on whose character is not in `wanted`. Raises `Unseen`."""
        while self.char(i) in wanted:
            i += 1
        return i

    def skip_space(self, i: int) -> int:
        while self.char(i).isspace():
            i += 1
        return i
