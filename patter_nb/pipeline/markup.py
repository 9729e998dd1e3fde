"""Takes markdown and HTML tags out of a text as it streams in.

A Markdown parser cannot do this: it wants whole blocks, and what a prefix means changes with what follows ("**Note" is text
until "**" closes it), so a voice could not begin before the paragraph ends. Here a mark is judged by the characters beside it,
as CommonMark's flanking rules do (https://spec.commonmark.org/0.31.2/#left-flanking-delimiter-run), and removed without waiting
for its partner. Text is held back only where the next characters decide: a label that may be a link's, a tag, the start of a line.
"""

from __future__ import annotations

import re

from patter_nb.pipeline.scanning import WIDE, Lookahead, Unseen

LONGEST_HELD = 300
"""A link's label, a tag or a run of marks longer than this is text."""

_PLAIN = re.compile(r"[^\\`*_~!\[\]<|\n]+")
_PLAIN_CODE = re.compile(r"[^`\n]+")
_TARGET = re.compile(r"[^()\n]*")
_TAG = re.compile(r"/?[A-Za-z][\w:-]*(?:\s[^<>]*=[^<>]*|\s*/?)|!--.*--")
_BREAKING_TAG = re.compile(r"/?(?:br|p|div|hr|h[1-6]|[uod]l|li|d[dt]|t[rdh]|table|blockquote)\b", re.IGNORECASE)
_AUTOLINK = re.compile(r"(?:[a-z][a-z0-9+.-]+:\S+|\S+@\S+\.\S+)", re.IGNORECASE)

_BLANK = frozenset(" \t\r")
_BLANK_OR_END = frozenset((" ", "\t", "\r", "\n", ""))
_LINE_END = frozenset(("\n", ""))
_BULLETS = frozenset("-+*•◦▪‣·")
_RULES = frozenset("-=")
_FENCES = frozenset("`~")
_BOX = frozenset(" xX")
_TAG_STARTS = frozenset("/!")
_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_SEPARATOR_ROW = frozenset("|-: \t\r")


class Markup(Lookahead):
    """Removes markup from one text. Each step below looks as far as it must (and may raise `Unseen`) before it takes anything."""

    __slots__ = ("_at", "_code", "_fence", "_labels", "_line_start", "_opened", "_previous", "_table", "_target")

    def __init__(self) -> None:
        super().__init__("")
        self._at = 0
        self._previous = ""
        self._line_start = True
        self._table = False
        self._fence = ""
        self._code = 0
        self._opened: dict[str, list[int]] = {"*": [], "_": [], "~": []}
        self._labels: list[bool] = []
        self._target = 0

    def push(self, text: str, *, complete: bool = False) -> str:
        """The part of the text so far that is decided, without its markup. `complete`: all of it, decided as if nothing followed."""
        self.final = complete
        self.text = self.text[self._at :] + text
        self.limit = len(self.text)
        self._at = 0
        out = []
        try:
            while self._at < self.limit:
                out.append(self._step())
        except Unseen:
            pass
        return "".join(out)

    def _step(self) -> str:
        if self._fence:
            return self._fenced_line()
        mark = self.text[self._at]
        if mark == "\n":
            return self._newline()
        if self._target:
            return self._link_target()
        if self._code:
            return self._code_span(mark)
        if self._line_start:
            block = self._block_mark(mark)
            if block is not None:
                return block
        plain = _PLAIN.match(self.text, self._at)
        if plain:
            return self._take(plain.end())
        return self._inline_mark(mark)

    def _take(self, end: int, spoken: str | None = None) -> str:
        """Move to `end`; what lies before it is said, or `spoken` in its place."""
        taken = self.text[self._at : end]
        self._previous = taken[-1]
        self._at = end
        self._line_start = False
        return taken if spoken is None else spoken

    def _take_line_mark(self, end: int) -> str:
        """Drop a mark after which the line still starts: "> - [x] # Title"."""
        self._take(end)
        self._line_start = True
        return " "

    def _run(self, mark: str) -> int:
        """How often `mark` stands at the current position, up to `LONGEST_HELD`."""
        length = 1
        while length < LONGEST_HELD and self.char(self._at + length) == mark:
            length += 1
        return length

    def _newline(self) -> str:
        if self._line_start:  # a blank line closes whatever was left open
            self._opened = {"*": [], "_": [], "~": []}
            self._labels = []
            self._code = 0
        self._table = False
        self._target = 0
        self._take(self._at + 1)
        self._line_start = True
        return "\n"

    def _block_mark(self, mark: str) -> str | None:
        """Drop what a line starts with, or None where it is text."""
        at = self._at
        if mark in _BLANK or mark == ">":
            return self._take_line_mark(at + 1)
        if mark in _BULLETS and self.char(at + 1) in _BLANK_OR_END:
            return self._take_line_mark(at + 1)
        if mark in _RULES and (length := self._run(mark)) >= 3:
            return self._take(at + length, "")
        if mark == "#" and (length := self._run(mark)) <= 6 and self.char(at + length) in _BLANK_OR_END:
            return self._take(at + length, "")
        if mark == "[" and self.char(at + 1) in _BOX and self.char(at + 2) == "]" and self.char(at + 3) in _BLANK_OR_END:
            return self._take(at + 3, "")
        if mark == "|":
            return self._table_row()
        if mark in _FENCES and (length := self._run(mark)) >= 3:
            return self._fence_opening(mark, length)
        return None

    def _fence_opening(self, mark: str, length: int) -> str | None:
        for end in range(self._at + length, self._at + LONGEST_HELD):
            char = self.char(end)
            if char == mark:
                return None  # a code span: ```x```
            if char in _LINE_END:
                self._take(end + len(char))
                self._line_start = True
                self._fence = mark * length
                return ""
        return None

    def _fenced_line(self) -> str:
        if self._line_start and (end := self._fence_end()):
            self._take(end)
            self._line_start = True
            self._fence = ""
            return "\n"
        newline = self.text.find("\n", self._at)
        line = self._take(newline + 1 or self.limit)
        self._line_start = newline >= 0
        return line

    def _fence_end(self) -> int:
        """The position after the line that closes the fence, or 0 if this is a line of code."""
        end = self._at
        while end < self._at + 3 and self.char(end) == " ":
            end += 1
        for mark in self._fence:
            if self.char(end) != mark:
                return 0
            end += 1
        for i in range(end, end + LONGEST_HELD):
            if self.char(i) in _LINE_END:
                return i + len(self.char(i))
            if self.char(i) not in _BLANK and self.char(i) != self._fence[0]:
                return 0
        return 0

    def _code_span(self, mark: str) -> str:
        if mark == "`":
            length = self._run(mark)
            closes = length == self._code
            self._code = 0 if closes else self._code
            return self._take(self._at + length, "" if closes else None)
        plain = _PLAIN_CODE.match(self.text, self._at)
        return self._take(plain.end() if plain else self._at + 1)

    def _inline_mark(self, mark: str) -> str:
        match mark:
            case "*" | "_" | "~":
                return self._emphasis(mark)
            case "`":
                length = self._run(mark)
                self._code = length
                return self._take(self._at + length, "")
            case "[" | "!":
                return self._link_label(mark)
            case "]":
                return self._link_label_end()
            case "<":
                return self._tag()
            case "|":
                return self._table_cell()
            case _:  # a backslash
                escaped = self.char(self._at + 1)
                if escaped in _PUNCTUATION:
                    return self._take(self._at + 2, escaped)
                return self._take(self._at + 1, "" if escaped == "\n" else None)

    def _emphasis(self, mark: str) -> str:
        length = self._run(mark)
        before, after = self._previous, self.char(self._at + length)
        opened = self._opened[mark]
        if length >= 3 and mark != "~" and (length > 3 or (after in _BLANK_OR_END and not opened)):
            return self._take(self._at + length, "")  # a rule
        inside_word = before.isalnum() and after.isalnum()
        closes = opened and not before.isspace() and not (inside_word and (mark == "_" or length != opened[-1]))
        opens = after not in _BLANK_OR_END and not (before.isalnum() and (mark == "_" or not (WIDE.match(before) or WIDE.match(after))))
        if (mark == "~" and length != 2) or not (closes or opens):
            return self._take(self._at + length)
        if not closes:
            opened.append(length)
        elif (left := opened.pop() - length) > 0:
            opened.append(left)  # of "***" after "**"
        return self._take(self._at + length, "")

    def _link_label(self, mark: str) -> str:
        bracket = self._at + (mark == "!")
        if self.char(bracket) != "[":
            return self._take(self._at + 1)
        is_link = self._is_link(bracket)
        if is_link:
            self._labels.append(True)
            return self._take(bracket + 1, "")
        if self._labels and mark == "[":
            self._labels.append(False)
        return self._take(self._at + 1)

    def _is_link(self, bracket: int) -> bool:
        depth = 0
        for i in range(bracket, bracket + LONGEST_HELD):
            char = self.char(i)
            if char in _LINE_END:
                return False
            depth += (char == "[") - (char == "]")
            if not depth:
                return self.char(i + 1) == "("
        return False

    def _link_label_end(self) -> str:
        has_target = self.char(self._at + 1) == "("
        is_link = self._labels.pop() if self._labels else True  # with no label open, it began in an earlier, complete piece
        if not (is_link and has_target):
            return self._take(self._at + 1)
        self._target = 1
        return self._take(self._at + 2, "")

    def _link_target(self) -> str:
        end = _TARGET.match(self.text, self._at).end()  # type: ignore[union-attr]  # matches always
        if end > self._at:
            return self._take(end, "")
        self._target += 1 if self.text[end] == "(" else -1
        return self._take(end + 1, "")

    def _tag(self) -> str:
        at = self._at
        first = self.char(at + 1)
        if not (first.isalpha() or first in _TAG_STARTS):
            return self._take(at + 1)
        for end in range(at + 1, at + LONGEST_HELD):
            char = self.char(end)
            if char == "<" or char in _LINE_END:
                break
            if char == ">":
                inner = self.text[at + 1 : end]
                if _TAG.fullmatch(inner):
                    return self._take(end + 1, " " if _BREAKING_TAG.match(inner) else "")
                if _AUTOLINK.fullmatch(inner):
                    return self._take(end + 1, inner)
                break
        return self._take(at + 1)

    def _table_row(self) -> str:
        for end in range(self._at, self._at + LONGEST_HELD):
            char = self.char(end)
            if char in _LINE_END:
                return self._take(end, "")
            if char not in _SEPARATOR_ROW:
                break
        self._table = True
        return self._take(self._at + 1, "")

    def _table_cell(self) -> str:
        if not self._table:
            return self._take(self._at + 1)
        end = self._at + 1
        while end < self._at + LONGEST_HELD and self.char(end) in _BLANK:
            end += 1
        return self._take(self._at + 1, "" if self.char(end) in _LINE_END else ",")
