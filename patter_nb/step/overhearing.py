"""Whether what the person says, or seems to say, while the agent answers comes to nothing: no words, its own echo, a sign of listening."""

from __future__ import annotations

import re
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
_QUESTION: Final = re.compile(r"[?\uff1f\u061f\u037e]|(?<=[\u0370-\u03ff\u1f00-\u1fff]);")
"""In Greek it is the semicolon."""


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
    return ECHO if said.audible and is_own(text, _spoken(state)) else _listening(state, (*said.words, text))


def _listening(state: State, words: tuple[str, ...]) -> str | None:
    asked = _QUESTION.search(_spoken(state)[-ASKED_LATELY:]) is not None
    return BACKCHANNEL if not asked and is_backchannel(" ".join(words), state.agent.turn_taking.backchannels) else None


def _spoken(state: State) -> str:
    """What the person heard of the answer under way, to the end of the piece that sounds; where there is none, of the last one."""
    if state.answers and state.answer is not None:
        played = state.voice.played
        begun = "".join(piece.words for piece in state.answer.pieces if piece.start is not None and piece.start < played)
    else:
        begun = next((str(message.get("content") or "") for message in reversed(state.history) if message["role"] == "assistant"), "")
    return begun[-REMEMBERED:].rstrip()
