"""Cuts the text of an answer, as it streams in, into pieces that a voice can speak while the rest is still being written.

Piece by piece is how a person hears an answer early, and a piece is what a voice gives one melody to: cut inside "Dr. Rossi" or
"3.14" it sounds wrong, cut late the person waits. Joined, the pieces are the text again, to the character; where they are cut
does not depend on how the text arrived (see `Lookahead`). Text is scanned once, by position, so a long answer costs linear time.

What has to be seen before a boundary is decided:

    。 ？ । ؟ ። and their kin    nothing more; inside a quotation or bracket the next character
    . ! ? …                      the first character after the white space that follows
    ... after "U.S", "Inc", "J"  the whole next word ("It" opens a sentence, "Smith" does not)
    a line's end                 enough of the next line to tell a paragraph, a list item or a heading from a wrapped line
    , ; : — (first piece only)   the first character after the white space that follows

White space belongs to the piece before it, except after a boundary that needs nothing more: that piece is already gone.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from patter_nb.pipeline.abbreviations import SENTENCE_STARTERS, abbreviation
from patter_nb.pipeline.scanning import WIDE, Lookahead, Unseen

FIRST_MIN = 32
"""About 2.1 s of speech at 15 letters a second: enough to write (at 30 tokens a second) and synthesise (at 10 times real time)
the sentence that follows, so that no gap opens after an early first piece, and long enough not to sound clipped."""

SHORT = 12
"""Under about 0.8 s a voice that synthesises each piece by itself sounds choppy: "Yes. Sure. " waits for its next sentence."""

LONGEST = 300
"""About 20 s of speech; also what bounds the text held."""

_ENDS = frozenset(".!?…‼⁇⁈⁉‽")
_WIDE_ENDS = frozenset("。｡．！？；﹒﹔﹖﹗︒।॥؟؛۔؏։።፧፨។៕။།༎᠃᠉")
_CLAUSES = frozenset(",;:—–-")
_WIDE_CLAUSES = frozenset("，、､：،")
_CLOSING = dict(zip(")]}”»」』）】》〉〕］｝", "([{“«「『（【《〈〔［｛", strict=True))
_TOGGLES = frozenset('"`')
_CLOSERS = frozenset(_CLOSING) | frozenset("\"'’›*_~`\u200d")
_OPENERS = "".join(_CLOSING.values()) + "\"'‘„‚‹*_~`!¿¡"
_QUOTES = frozenset("\"'“‘„«‹「『")
_CONTINUES = frozenset(",;:)]")
_BULLETS = frozenset("#>|•◦▪‣")
_SPANISH_OPENERS = frozenset("¿¡")
_AFTER_NUMBER = frozenset(".)")

_LATER_MARKS = re.compile("[" + re.escape("".join(_ENDS | _WIDE_ENDS)) + r"\n]")
_FIRST_MARKS = re.compile("[" + re.escape("".join(_ENDS | _WIDE_ENDS | _CLAUSES | _WIDE_CLAUSES)) + r"\n]")
_CLAUSE_BREAK = re.compile(r"[,;:—–](?=\s)|[" + "".join(_WIDE_CLAUSES) + "]|—")
_BRACKETS = re.compile("[" + re.escape("".join([*_CLOSING, *_CLOSING.values(), *_TOGGLES])) + "]")
_CURRENCY = re.compile("[$¢-¥֏؋৲৳฿\u20a0-\u20cf﷼﹩＄￠￡￥￦]")
_LINE_MARKUP = " \t\r#>*+_~(-"
_DOTTED = re.compile(r"(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,2}")
_HYPHEN_OR_APOSTROPHE = re.compile("[-'’]")
_SECTION = re.compile(r"\d+(?:\.\d+)*")
_LONGEST_ABBREVIATION = 40


@dataclass(frozen=True, slots=True)
class SentenceState:
    """What is carried from one push to the next. Fresh, it stands before the first character of an answer.

    `held` is text not yet cut (at most `LONGEST` characters), `scan` how many of its characters are decided, `first` that no
    piece was cut yet, `unclosed` the quotation marks and brackets open where `held` starts. `first_min` is the least weight
    of a first piece that ends at a comma, in Latin letters (a wide character weighs three).
    """

    held: str = ""
    scan: int = 0
    first: bool = True
    unclosed: str = ""
    first_min: int = FIRST_MIN


def push(state: SentenceState, text: str) -> tuple[SentenceState, tuple[str, ...]]:
    """Add `text` (a token, a character, an answer) and take the pieces that are complete.

    >>> push(SentenceState(), "Dr. Rossi is in. He")[1]
    ('Dr. Rossi is in. ',)
    """
    scanner = _Scanner(state, text, final=False)
    pieces = tuple(scanner.pieces())
    return scanner.state(), pieces


def flush(state: SentenceState) -> tuple[str, ...]:
    """The pieces of what is held, now that nothing follows. A last piece of white space alone belongs to one already taken."""
    return tuple(_Scanner(state, "", final=True).pieces())


def speakable(text: str) -> bool:
    """Whether there is a letter or digit in `text`: white space, punctuation and signs alone are no words, and need no voice."""
    return any(map(str.isalnum, text))


class SentenceChunker:
    """`push` and `flush` with the state kept here.

    >>> chunker = SentenceChunker()
    >>> chunker.push("Hello there. How are") + chunker.flush()
    ['Hello there. ', 'How are']
    """

    def __init__(self, *, first_min: int = FIRST_MIN) -> None:
        self._fresh = SentenceState(first_min=first_min)
        self._state = self._fresh

    def push(self, text: str) -> list[str]:
        self._state, pieces = push(self._state, text)
        return list(pieces)

    def flush(self) -> list[str]:
        """The rest of the answer; what is pushed next is another answer."""
        pieces = flush(self._state)
        self.reset()
        return list(pieces)

    def reset(self) -> None:
        """Forget what is held."""
        self._state = self._fresh


class _Scanner(Lookahead):
    """One push. `start` is where the current piece starts, `at` the first character not yet decided; a cut of 0 is no cut."""

    __slots__ = ("at", "first", "first_min", "start", "unclosed")

    def __init__(self, state: SentenceState, text: str, *, final: bool) -> None:
        super().__init__(state.held + text, final=final)
        self.start = 0
        self.at = state.scan
        self.first = state.first
        self.first_min = state.first_min
        self.unclosed = state.unclosed

    def state(self) -> SentenceState:
        return SentenceState(self.text[self.start :], self.at - self.start, self.first, self.unclosed, self.first_min)

    def pieces(self) -> list[str]:
        pieces = []
        while cut := self._next_cut():
            piece = self.text[self.start : cut]
            pieces.append(piece)
            self.unclosed = _unclosed(self.unclosed, piece)
            self.start = self.at = cut
            self.first = False
        if self.final and self.start < len(self.text):
            pieces.append(self.text[self.start :])
        return pieces

    def _next_cut(self) -> int:
        self.limit = min(len(self.text), self.start + LONGEST)
        marks = _FIRST_MARKS if self.first else _LATER_MARKS
        try:
            while found := marks.search(self.text, self.at, self.limit):
                self.at = found.start()
                cut = self._cut_at(found[0])
                if cut and speakable(self.text[self.start : cut]):
                    return cut
                self.at += 1
            self.at = self.limit
        except Unseen:
            pass
        return self._forced_cut() if self.limit == self.start + LONGEST else 0

    def _cut_at(self, mark: str) -> int:
        if mark == "\n":
            return self._line_end()
        if mark in _ENDS or mark in _WIDE_ENDS:
            cut = self._sentence_end() if mark in _ENDS else self._wide_sentence_end()
            return cut if self.first or self._weighs(cut, SHORT) else 0
        return self._clause_end(mark) if self._weighs(self.at + 1, self.first_min) else 0

    def _sentence_end(self) -> int:
        """The cut after a sentence whose terminator, like that of Latin script, also serves in numbers, names and abbreviations."""
        text, at = self.text, self.at
        if at > self.start and text[at - 1] in _ENDS:
            return 0  # the run was judged at its first character
        end = self.skip(at, _ENDS)
        run = text[at:end]
        closed = self._skip_closers(end)
        if not self.char(closed).isspace():
            unspaced = self.char(closed).isalpha() and WIDE.match(text, closed) and (run != "." or WIDE.match(text, at - 1))
            return closed if unspaced else 0
        cut = self.skip_space(closed)
        follower = self.char(cut)
        if run == ".":
            return 0 if follower in _CONTINUES or not self._period_ends_sentence(cut) else cut
        trails_off = not run.strip(".…") or closed > end  # "Well... maybe", "'Stop!' he said"
        return 0 if trails_off and (follower in _CONTINUES or self._continues_in_lower_case(follower)) else cut

    def _period_ends_sentence(self, following: int) -> bool:
        follower = self.text[following : following + 1]
        if self._continues_in_lower_case(follower):
            return False
        line = max(self.start, self.text.rfind("\n", self.start, self.at) + 1)
        tokens = self.text[max(self.start, self.at - _LONGEST_ABBREVIATION) : self.at].split()
        if not tokens or self.text[self.at - 1].isspace():
            return True
        word = _HYPHEN_OR_APOSTROPHE.split(_with_letters_before(tokens))[-1]
        opens_line = self.text[line : self.at].lstrip(_LINE_MARKUP) == word
        if opens_line and ((len(word) == 1 and word.isalpha()) or _SECTION.fullmatch(word)):
            return False  # "1. First", "A. Yes"
        kind = abbreviation(" ".join((*tokens[-2:-1], word))) or abbreviation(word)
        if kind == "numbered":
            return not follower.isdigit()
        if kind is None and not _is_ambiguous(word):
            return True
        return kind != "title" and self._opens_sentence(following)

    def _opens_sentence(self, i: int) -> bool:
        if not self.char(i).isupper():
            return self.char(i) in _SPANISH_OPENERS
        end = i
        while self.char(end).isalpha():
            end += 1
        return self.text[i:end] in SENTENCE_STARTERS and self.char(end) != "."

    def _continues_in_lower_case(self, follower: str) -> bool:
        """A small letter continues the sentence, unless this text has no capitals to begin one with."""
        return follower.islower() and any(map(str.isupper, self.text[self.start : self.at]))

    def _wide_sentence_end(self) -> int:
        """The cut after a terminator that serves for nothing else: at once, or after the closing marks of what it stands in."""
        text, cut = self.text, self.at + 1
        if text[self.at] == "．" and text[self.at - 1 : self.at].isdigit() and self.char(cut).isdigit():
            return 0
        open_marks = _unclosed(self.unclosed, text[self.start : cut])
        while open_marks and self.char(cut) in _CLOSERS:
            open_marks = _unclosed(open_marks, text[cut])
            cut += 1
        return cut

    def _clause_end(self, mark: str) -> int:
        """The cut of an early first piece after a comma, semicolon, colon or dash that stands between two clauses of speech."""
        text, at = self.text, self.at
        cut = self.skip_space(at + 1)
        follower = self.char(cut)
        before = text[at - 1]
        spaced = cut > at + 1
        if (mark in _CLAUSES and mark != "—" and not spaced) or (mark in "-–" and not before.isspace()):
            return 0
        in_number = (before.isdigit() and follower.isdigit()) or _CURRENCY.search(text, max(self.start, at - 8), at)
        in_marks = follower in _QUOTES or follower == mark or _unclosed(self.unclosed, text[self.start : at])
        return 0 if in_number or in_marks else cut

    def _line_end(self) -> int:
        cut = self.skip_space(self.at)
        self.char(cut)
        line = self.text.rfind("\n", self.start, self.at) + 1 or self.start
        ends_heading = self.text.startswith("#", line)
        if ends_heading or self.text.count("\n", self.at, cut) > 1 or self._opens_block(cut):
            return cut
        return 0

    def _opens_block(self, i: int) -> bool:
        """Whether a list item, heading, quotation, table row, fence or rule starts at `i`."""
        first = self.char(i)
        if first in _BULLETS:
            return True
        if first and first in "-*+":
            return self.char(i + 1).isspace() or self.char(i + 1) == first == "-"
        if first and first in "`~":
            return self.char(i + 1) == first and self.char(i + 2) == first
        digits = i
        while digits < i + 3 and self.char(digits).isdigit():
            digits += 1
        return digits > i and self.char(digits) in _AFTER_NUMBER and self.char(digits + 1).isspace()

    def _forced_cut(self) -> int:
        """Where to cut `LONGEST` characters without a boundary: the last clause of their second half, else the last space, else the end."""
        middle = self.start + LONGEST // 2
        clauses = [found.end() for found in _CLAUSE_BREAK.finditer(self.text, middle, self.limit)]
        if clauses:
            return self._past_spaces(clauses[-1])
        for i in range(self.limit - 1, self.start, -1):
            if self.text[i].isspace() and not self.text[i - 1].isspace():
                return self._past_spaces(i)
        cut = self.limit - 1
        while cut > middle and unicodedata.category(self.text[cut])[0] == "M":
            cut -= 1  # a combining mark stays with its letter
        return cut

    def _past_spaces(self, i: int) -> int:
        while i < self.limit and self.text[i].isspace():
            i += 1
        return i

    def _skip_closers(self, i: int) -> int:
        """Past quotation marks, brackets, emphasis and emoji that follow a terminator without a space: they belong to its sentence."""
        while self.char(i) in _CLOSERS or (self.char(i) and unicodedata.category(self.char(i)) in ("So", "Sk", "Mn")):
            i += 1
        return i

    def _weighs(self, end: int, weight: int) -> bool:
        length = end - self.start
        return length >= weight or (length > 0 and length + 2 * len(WIDE.findall(self.text, self.start, end)) >= weight)


def _unclosed(before: str, text: str) -> str:
    """The marks still open after `text`, given those open before it. Kept short: what was never closed must not add up."""
    stack = before
    for mark in _BRACKETS.findall(text):
        if mark in _TOGGLES:
            stack = stack.replace(mark, "") if mark in stack else stack + mark
        elif mark not in _CLOSING:
            stack += mark
        elif stack.endswith(_CLOSING[mark]):
            stack = stack[:-1]
    return stack[-8:]


def _with_letters_before(tokens: list[str]) -> str:
    """The last token, with the single letters and periods before it: "B" of "z. B." is "z.B"."""
    word = tokens[-1].lstrip(_OPENERS)
    if len(word) == 1:
        for token in reversed(tokens[:-1]):
            letter = token.lstrip(_OPENERS)
            if len(letter) != 2 or not letter[0].isalpha() or letter[1] != ".":
                break
            word = letter + word
    return word


def _is_ambiguous(word: str) -> bool:
    """Initials, acronyms with periods, and small numbers, which are ordinals in German ("am 3. Oktober"). Han letters are words."""
    if len(word) == 1 and word.isalpha():
        return not WIDE.match(word)
    return bool(_DOTTED.fullmatch(word)) or (word.isdigit() and len(word) <= 2)
