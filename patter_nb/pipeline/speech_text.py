"""Takes out of an answer, as it streams in, what must not be read aloud: markdown, HTML tags (both `Markup`) and emoji.

Removed: fence lines (the code stays), backticks, emphasis, headings' and quotations' marks, list bullets (numbers stay), check
boxes, rules, targets of links and images (label and alternative text stay), table pipes (a comma between cells), HTML tags,
backslashes of escapes, emoji. Kept: "3 * 4", "2*3", "snake_case", "a < b", "C#", "#1", "5* hotel", "~5". Runs of white space become
one space, one newline or one blank line.
"""

from __future__ import annotations

import re

from patter_nb.pipeline.markup import Markup

_EMOJI = (
    "\U0001f000-\U0001faff\u2600-\u266c\u2670-\u27bf\u231a\u231b\u2328\u23cf\u23e9-\u23fa\u25aa\u25ab\u25b6\u25c0\u25fb-\u25fe"
    "\u2934\u2935\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55\u3030\u303d\u3297\u3299"
)
"""Emoji, flags, dingbats and miscellaneous symbols but the musical accidentals.

From https://unicode.org/Public/UCD/latest/ucd/emoji/emoji-data.txt, rounded to blocks where a block is signs only.
"""
_MODIFIERS = "\ufe00-\ufe0f\u20e3\U000e0020-\U000e007f"
"""Variation selectors, the keycap (its digit stays), and the tags of regional flags."""
_JOINER = "\u200d"
"""Joins emoji, and letters in Indic scripts and Persian, where it stays."""
_SPACE = " \t\r\n\f\v"
_TOKENS = re.compile(
    f"(?P<space>[{_SPACE}]+)|(?P<emoji>[{_EMOJI}]+)|(?P<modifier>[{_MODIFIERS}]+)|(?P<joiner>{_JOINER})"
    f"|[^{_SPACE}{_EMOJI}{_MODIFIERS}{_JOINER}]+"
)
_CLOSES_UP = frozenset(".,!?;:…)]}")
_OPENS = frozenset("([{")


class SpeechFilter:
    """Text in, speakable text out; one for one answer.

    `push` and `flush` take a text in any chunks, with the same result. `piece` takes it in pieces that are spoken one by one
    (see `sentences`): nothing is held back at a piece's end, and emphasis, code and fences may span pieces all the same.

    >>> speech = SpeechFilter()
    >>> speech.push("This is **very ") + speech.push("important**. 🎉 See [the docs](https://a.b)") + speech.flush()
    'This is very important. See the docs'
    >>> speech.piece("Now **this. "), speech.piece("And that!**")
    ('Now this.', ' And that!')
    """

    def __init__(self) -> None:
        self._markup = Markup()
        self._tidy = _Tidy()

    def push(self, text: str) -> str:
        """What can be said of all text so far and was not yet returned."""
        return self._tidy.push(self._markup.push(text))

    def piece(self, text: str) -> str:
        """What can be said of `text`, a whole piece, and of all text before it that was not yet returned."""
        return self._tidy.push(self._markup.push(text, complete=True))

    def flush(self) -> str:
        """The rest; white space at the end is dropped. What is pushed next is another answer."""
        rest = self.piece("")
        self._markup = Markup()
        self._tidy = _Tidy()
        return rest


def speech_text(text: str) -> str:
    """`text` without what must not be read aloud.

    >>> speech_text("# Sums\\n* `3 * 4` is _twelve_ ✅")
    'Sums\\n3 * 4 is twelve'
    """
    speech = SpeechFilter()
    return speech.push(text) + speech.flush()


class _Tidy:
    """Removes emoji and the gaps that they and the markup leave. White space is held until something follows it."""

    __slots__ = ("_after_emoji", "_gap", "_last", "_newlines", "_space")

    def __init__(self) -> None:
        self._last = ""
        self._space = False
        self._newlines = 0
        self._gap = False
        self._after_emoji = False

    def push(self, text: str) -> str:
        out = []
        for token in _TOKENS.finditer(text):
            kind = token.lastgroup
            if kind == "space":
                self._space = True
                self._newlines = min(2, self._newlines + token[0].count("\n"))
                self._after_emoji = False
            elif kind == "emoji":
                self._gap = self._after_emoji = True
            elif kind is None or (kind == "joiner" and not self._after_emoji):
                out.append(self._separator(token[0][0]) + token[0])
                self._last = token[0][-1]
                self._space = self._gap = self._after_emoji = False
                self._newlines = 0
        return "".join(out)

    def _separator(self, following: str) -> str:
        if not self._last:
            return ""
        if self._newlines:
            return "\n" * self._newlines
        if following == "," or (self._gap and (following in _CLOSES_UP or self._last in _OPENS)):
            return ""  # a table's cell or an emoji stood before it
        return " " if self._space or (self._gap and self._last.isalnum() and following.isalnum()) else ""
