"""Words said into the agent's own, which are not meant to interrupt it: signs of listening, and its own voice come back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import lru_cache

from patter_nb.pipeline.scanning import WIDE

ECHO_WORDS = 4
"""From so many words on, what was heard is an echo where most of it, in this order, is what the agent says."""
ECHO_SHARE = 0.6
_WORDS = re.compile(rf"{WIDE.pattern}|[\w']+")


def words_of(text: str) -> tuple[str, ...]:
    """The words of `text`, in lower case, without punctuation; a character of a script that is written without spaces is one.

    >>> words_of("Mm-hmm, it's fine!")
    ('mmhmm', "it's", 'fine')
    """
    plain = re.sub(r"(?<=\w)[-\u2010\u2011](?=\w)", "", text.casefold().replace("\u2019", "'"))
    return tuple(word for word in _WORDS.findall(plain) if any(map(str.isalnum, word)))


def is_backchannel(text: str, backchannels: Sequence[str]) -> bool:
    """Whether `text` is made of `backchannels` only, one or several.

    >>> is_backchannel("Okay. Mm-hmm, I see!", ("okay", "mm-hmm", "I see")), is_backchannel("I see a cat", ("I see",))
    (True, False)
    """
    words, phrases = words_of(text), _phrases(tuple(backchannels))
    reached = {0}  # every place in `words` to which whole phrases lead
    for place in range(len(words)):
        if place in reached:
            reached |= {place + len(phrase) for phrase in phrases if words[place : place + len(phrase)] == phrase}
    return bool(words) and len(words) in reached


def is_echo(text: str, said: str) -> bool:
    """Whether `text`, heard while the agent says `said`, is its own voice: two or three words of it in a row, or more, most of them its.

    >>> is_echo("it is sunny and worm", "It is sunny and warm in Rome."), is_echo("stop it", "It is sunny and warm in Rome.")
    (True, False)
    """
    words, source = words_of(text), words_of(said)
    if len(words) < ECHO_WORDS:
        return len(words) > 1 and any(source[at : at + len(words)] == words for at in range(len(source)))
    alike = SequenceMatcher(None, words, source, autojunk=False).get_matching_blocks()
    return sum(block.size for block in alike) >= ECHO_SHARE * len(words)


def may_become_echo(text: str, said: str) -> bool:
    """Whether `text`, which is not complete, may yet turn out to be the agent's own voice."""
    words = words_of(text)
    return is_echo(text, said) or (len(words) == 1 and words[0] in words_of(said))


@lru_cache(maxsize=8)
def _phrases(backchannels: tuple[str, ...]) -> frozenset[tuple[str, ...]]:
    return frozenset(words for phrase in backchannels if (words := words_of(phrase)))
