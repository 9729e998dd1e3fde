"""What the person says as spans: speech to text, from the first voice to the words that stand, and the wait until the
turn was known to be over.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from patter_nb.events import SpeechUsed
from patter_nb.tracing import names
from patter_nb.tracing.span import Value
from patter_nb.tracing.tree import Growing, Tree

__all__ = ["Heard", "Utterance", "hear", "speech"]


@dataclass(slots=True)
class Utterance:
    """Speech that has not become a turn, or nothing, yet."""

    since_s: float
    last_voice_s: float | None = None
    words_s: float | None = None
    words: list[str] = field(default_factory=list)
    used: list[SpeechUsed] = field(default_factory=list)
    judged: list[tuple[float, float | None]] = field(default_factory=list)
    """When a turn detector judged, and what it made of it."""


@dataclass(slots=True)
class Heard:
    """The spans of an utterance, open until what is told with its end has been told: what it cost, and that it failed."""

    span: Growing
    ends_s: float
    used: list[SpeechUsed]

    def take(self, used: SpeechUsed) -> None:
        self.used.append(used)

    def end(self, tree: Tree) -> None:
        if self.span.end_ns is None:
            tree.tell(self.span, speech(self.used))
            tree.end(self.span, self.ends_s)


def hear(tree: Tree, parent: Growing, said: Utterance, now_s: float, *, dropped: str | None = None) -> Heard:
    """Begin the span of speech to text, and end that of endpointing where the words became a turn."""
    known: dict[str, Value | None] = {
        names.OPERATION: names.SPEECH_TO_TEXT,
        names.OUTPUT_TYPE: "text",
        "patter.stt.text_len": sum(map(len, said.words)),
        "patter.dropped": dropped,
        names.HEARD: " ".join(said.words) or None,
    }
    span = tree.start(parent, names.SPEECH_TO_TEXT, said.since_s, known)
    if dropped is None and said.last_voice_s is not None:
        waited = tree.start(parent, "endpointing", said.last_voice_s, {})
        for at_s, probability in said.judged:
            tree.mark(waited, "turn_judged", at_s, {"patter.turn.probability": probability})
        tree.end(waited, now_s)
    return Heard(span, now_s if said.words_s is None else said.words_s, said.used)


def speech(used: list[SpeechUsed]) -> dict[str, Value | None]:
    """What was sent to ears or voice, and to whose."""
    if not used:
        return {}
    seconds = [one.seconds for one in used if one.seconds is not None]
    characters = [one.characters for one in used if one.characters is not None]
    kind = "stt" if used[-1].stage == "stt" else "tts"
    return {
        names.PROVIDER: names.vendor(used[-1].provider),
        names.REQUEST_MODEL: used[-1].model,
        f"patter.cost.{kind}_seconds": round(sum(seconds), 3) if seconds else None,
        f"patter.cost.{kind}_chars": sum(characters) if characters else None,
    }
