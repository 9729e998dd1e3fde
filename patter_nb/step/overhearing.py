"""Whether what the person says, or seems to say, while the agent answers comes to nothing: no words, its own echo, a sign of listening."""

from __future__ import annotations

from typing import Final

from patter_nb.pipeline.overheard import is_backchannel, is_echo, may_become_echo
from patter_nb.pipeline.sentences import speakable
from patter_nb.step.state import LETTERS_A_SECOND, Silent, State

ECHO: Final = "only the agent's own voice was heard"
BACKCHANNEL: Final = "a sign of listening does not interrupt"
NO_WORDS: Final = "no words were heard"

REMEMBERED: Final = 30 * LETTERS_A_SECOND
"""How much of what the agent said last may come back as an echo: half a minute of it."""
ASKED_LATELY: Final = 5 * LETTERS_A_SECOND
"""A question this near to the end of what was said is still to be answered."""
_QUESTION_MARKS: Final = "?？؟;"


def whole(state: State) -> str | None:
    """Why the utterance becomes no turn; None: it does."""
    said = state.utterance
    assert not isinstance(said, Silent)
    if not said.words:
        return ECHO if said.echoed else NO_WORDS
    return _listening(state, said.words) if said.into else None


def newest(state: State, text: str, *, is_final: bool) -> str | None:
    """Why `text`, the newest transcript of the utterance, does not interrupt; None: it does."""
    said = state.utterance
    assert not isinstance(said, Silent)
    if not speakable(text):
        return NO_WORDS
    if not said.into:
        return None
    is_own = is_echo if is_final else may_become_echo
    return ECHO if is_own(text, _spoken(state)) else _listening(state, (*said.words, text))


def _listening(state: State, words: tuple[str, ...]) -> str | None:
    asked = any(mark in _spoken(state)[-ASKED_LATELY:] for mark in _QUESTION_MARKS)
    return BACKCHANNEL if not asked and is_backchannel(" ".join(words), state.agent.turn_taking.backchannels) else None


def _spoken(state: State) -> str:
    """What the person heard of the agent last, to the end of the piece that sounds."""
    pieces = state.answer.pieces if state.answer is not None else ()
    begun = "".join(piece.words for piece in pieces if piece.start is not None and piece.start < state.voice.played)
    if not begun:
        begun = next((str(message.get("content") or "") for message in reversed(state.history) if message["role"] == "assistant"), "")
    return begun[-REMEMBERED:].rstrip()
