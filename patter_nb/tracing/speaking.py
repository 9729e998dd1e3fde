"""What the agent says as spans: the voice, piece by piece in its order, and playback."""

from __future__ import annotations

from dataclasses import dataclass

from patter_nb.events import (
    AudioSent,
    PlaybackEnded,
    PlaybackPaused,
    PlaybackResumed,
    PlaybackStarted,
    SentenceChecked,
    SentenceReady,
    SentenceSpoken,
    SpeechUsed,
    StageFailed,
)
from patter_nb.tracing import names
from patter_nb.tracing.hearing import speech
from patter_nb.tracing.tree import Growing, Tree

__all__ = ["Mouth", "Played"]


@dataclass(slots=True)
class _Piece:
    ready_s: float
    kind: str
    text: str
    span: Growing | None = None


class Mouth:
    """The voice of one turn. It works on one piece at a time: the next begins when it is ready, and the one before is done.

    A piece has a span only if it sounds, or fails to: where there is no voice, nothing is synthesised.
    """

    def __init__(self, tree: Tree, parent: Growing) -> None:
        self._tree = tree
        self._parent = parent
        self._pieces: dict[int, _Piece] = {}
        self._free_s = 0.0

    def fold(self, body: SentenceReady | SentenceChecked | AudioSent | SentenceSpoken, at_s: float) -> None:
        """One more event of a piece."""
        match body:
            case SentenceReady(index, _, text, kind):
                self._pieces[index] = _Piece(at_s, kind, text)
            case SentenceChecked(index, text):
                self._pieces[index].text = text
            case AudioSent(index):
                self._sound(index, at_s)
            case SentenceSpoken(index):
                self._end(self._pieces[index], at_s)
                self._free_s = at_s

    def used(self, used: SpeechUsed) -> bool:
        """What the piece under way cost; whether one is."""
        sounding = [piece.span for piece in self._pieces.values() if piece.span is not None and piece.span.end_ns is None]
        for span in sounding[:1]:
            self._tree.tell(span, speech([used]))
        return bool(sounding)

    def failed(self, body: StageFailed, at_s: float) -> None:
        """The voice broke at the first piece that is not done."""
        pending = [piece for piece in self._pieces.values() if piece.span is None or piece.span.end_ns is None]
        for piece in pending[:1]:
            span = piece.span or self._begin(piece)
            self._tree.fail(span, type(body.error).__name__, body.error.message)
        self.end(at_s)

    def end(self, at_s: float) -> None:
        """Nothing more is spoken, apart from pieces that are not ready yet."""
        for piece in self._pieces.values():
            self._end(piece, at_s)
        self._free_s = at_s

    def _sound(self, index: int, at_s: float) -> None:
        for before in range(index):
            self._end(self._pieces[before], at_s)
        piece = self._pieces[index]
        if piece.span is None:
            piece.span = self._begin(piece)
            self._tree.tell(piece.span, {"patter.latency.ttfb_ms": round((at_s - max(piece.ready_s, self._free_s)) * 1000, 3)})

    def _begin(self, piece: _Piece) -> Growing:
        known = {names.OPERATION: names.TEXT_TO_SPEECH, names.OUTPUT_TYPE: "speech", "patter.tts.kind": piece.kind}
        piece.span = self._tree.start(self._parent, names.TEXT_TO_SPEECH, max(piece.ready_s, self._free_s), known)
        return piece.span

    def _end(self, piece: _Piece, at_s: float) -> None:
        if piece.span is not None and piece.span.end_ns is None:
            self._tree.tell(piece.span, {"patter.tts.text_len": len(piece.text), names.SPOKEN: piece.text})
            self._tree.end(piece.span, at_s)


class Played:
    """What the person hears of one turn: a span for each time that the agent sounds."""

    def __init__(self, tree: Tree, parent: Growing, rate: int) -> None:
        self._tree = tree
        self._parent = parent
        self._rate = rate
        self._span: Growing | None = None
        self._since = 0

    def fold(self, body: PlaybackStarted | PlaybackPaused | PlaybackResumed | PlaybackEnded, at_s: float) -> None:
        """One more event of playback."""
        if isinstance(body, PlaybackStarted):
            self._since = body.position
            self._span = self._tree.start(self._parent, "playback", at_s, {})
        elif self._span is not None:
            self._go_on(self._span, body, at_s)

    def _go_on(self, span: Growing, body: PlaybackPaused | PlaybackResumed | PlaybackEnded, at_s: float) -> None:
        match body:
            case PlaybackPaused(by=by):
                self._tree.mark(span, "playback_paused", at_s, {"patter.by": by})
            case PlaybackResumed(reason=reason):
                self._tree.mark(span, "playback_resumed", at_s, {"patter.reason": reason})
            case PlaybackEnded(position, flushed):
                heard, lost = (round(samples * 1000 / self._rate, 1) for samples in (position - self._since, flushed))
                self._tree.tell(span, {"patter.playback.heard_ms": heard, "patter.playback.flushed_ms": lost})
                self._tree.end(span, at_s)
                self._span = None
