"""Words that Whisper writes where nobody spoke. It learnt from subtitles, and what stands there over silence is the end of a film.

Whisper tells with each segment how probable it is that it holds no speech. Over 0.6, with words that are improbable too, it is silent by
OpenAI's own rule (openai/whisper, transcribe.py: `no_speech_threshold`, `logprob_threshold`); with a stock phrase the improbability is not
waited for. With tiny.en, noises and hums had 0.72 or more, and spoken words, "Thank you" among them and as loud as the noise around, 0.37
or less.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["is_imagined"]

_NO_SPEECH: Final = 0.6
_IMPROBABLE: Final = -1.0
_CAPTION: Final = re.compile(r"\s*(?:[\[(*♪♫][^\])*♪♫]*[\])*♪♫]+[\s.]*)+")
"""Nothing but "[Music]", "(applause)", "*sighs*", "♪ ... ♪": what somebody wrote of a sound, and nobody says."""
_STOCK: Final = frozenset(
    (
        *("you", "thank you", "thank you very much", "thank you so much", "thanks", "bye", "bye bye", "goodbye", "okay", "ok"),
        *("yeah", "so", "oh", "hmm", "mm", "uh", "ah", "the end", "music", "applause", "laughter", "silence", "amen"),
        *("thank you for watching", "thanks for watching", "thank you so much for watching", "thank you very much for watching"),
        *("please subscribe", "please subscribe to my channel", "subscribe to my channel", "like and subscribe"),
        *("see you next time", "see you in the next video", "ill see you in the next video", "ill see you next time", "see you later"),
        *("subtitles by the amaraorg community", "transcription by castingwords", "thank you for listening", "thanks for listening"),
    )
)


def is_imagined(text: str, no_speech: float, logprob: float) -> bool:
    """Whether a segment's words are none: `no_speech` is the probability that nobody spoke, `logprob` the mean of the words'.

    >>> [is_imagined(" Thank you for watching!", no_speech, -0.4) for no_speech in (0.8, 0.1)]
    [True, False]
    """
    if _CAPTION.fullmatch(text):
        return True
    words = " ".join(re.sub(r"[^\w\s]", "", text.casefold()).split())
    return no_speech > _NO_SPEECH and (logprob < _IMPROBABLE or words in _STOCK)
