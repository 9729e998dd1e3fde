"""Words said into the agent's own, which are not meant to interrupt it: signs of listening, and its own voice come back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import lru_cache

from patter_nb.pipeline.scanning import WIDE

ECHO_WORDS, ECHO_WIDE = 4, 6
"""So many words in a row, or characters of a script that is written without spaces, are taken for the agent's own; fewer are a person's."""
ALIKE, WORD_ALIKE = 0.75, 0.5
"""How much of the letters of what was heard, and of its first and its last word, is what the agent said there: it may be misheard."""
_WORDS = re.compile(rf"{WIDE.pattern}|[\w']+")


def words_of(text: str) -> tuple[str, ...]:
    """The words of `text`, in lower case, without punctuation; a character of a script that is written without spaces is one.

    >>> words_of("Mm-hmm, it\u2019s fine!")
    ('mm', 'hmm', "it's", 'fine')
    """
    plain = text.casefold().replace("\u2019", "'")
    return tuple(word for word in _WORDS.findall(plain) if any(map(str.isalnum, word)))


def is_backchannel(text: str, backchannels: Sequence[str]) -> bool:
    """Whether `text` is made of `backchannels` only, one or several, however they are drawn out or spelled.

    >>> is_backchannel("O.K. Mm-hmmm, I see!", ("ok", "mhm", "I see")), is_backchannel("I see a cat", ("I see",))
    (True, False)
    """
    said, phrases = _folded(text), _phrases(tuple(backchannels))
    reached = {0}  # every place in `said` to which whole phrases lead
    for place in range(len(said)):
        if place in reached:
            reached |= {place + len(phrase) for phrase in phrases if said.startswith(phrase, place)}
    return bool(said) and len(said) in reached


def is_echo(text: str, said: str) -> bool:
    """Whether `text`, heard while the agent says `said`, is the agent's own voice: from its first word to its last, if misheard.

    >>> is_echo("it is sunny and worm", "Well, it is sunny and warm in Rome."), is_echo("it is sunny. Stop!", "It is sunny in Rome.")
    (True, False)
    """
    words, source = words_of(text), words_of(said)
    enough = ECHO_WIDE if any(map(WIDE.match, words)) else ECHO_WORDS
    return len(words) >= enough and any(_alike(words, window) for window in _windows(source, len(words)))


def may_become_echo(text: str, said: str) -> bool:
    """Whether `text`, which is not complete, may yet turn out to be the agent's own voice."""
    words, source = words_of(text), words_of(said)
    return is_echo(text, said) or any(source[at : at + len(words)] == words for at in range(len(source)))


def _windows(source: tuple[str, ...], length: int) -> Iterator[tuple[str, ...]]:
    """Each run of about so many words: who mishears may hear one more, or one less."""
    for size in (length, length - 1, length + 1):
        yield from (source[at : at + size] for at in range(len(source) - size + 1))


def _alike(heard: tuple[str, ...], said: tuple[str, ...]) -> bool:
    ends = all(SequenceMatcher(None, one, other).ratio() >= WORD_ALIKE for one, other in ((heard[0], said[0]), (heard[-1], said[-1])))
    if not ends:
        return False
    whole = SequenceMatcher(None, " ".join(heard), " ".join(said), autojunk=False)
    return whole.quick_ratio() >= ALIKE and whole.ratio() >= ALIKE


@lru_cache(maxsize=8)
def _phrases(backchannels: tuple[str, ...]) -> frozenset[str]:
    return frozenset(filter(None, map(_folded, backchannels)))


def _folded(text: str) -> str:
    """The letters of `text` in a row, each of a run in a word once.

    >>> _folded("Mm-hmmm. O.K.!")
    'mhmok'
    """
    return re.sub(r"[\W_]", "", re.sub(r"(\w)\1+", r"\1", text.casefold()))
