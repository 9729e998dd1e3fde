"""The answer's way to the person's ear: pieces, sound, the cursor, and what happens when the person speaks into it.

Someone who seems to interrupt only pauses playback. Words confirm the interruption; silence, or time, lets it go on from the
same sample.
"""

from __future__ import annotations

from dataclasses import replace

from patter_nb.events import (
    AudioSent,
    PlaybackEnded,
    PlaybackPaused,
    PlaybackResumed,
    PlaybackStarted,
    SentenceChecked,
    SentenceKind,
    SentenceReady,
    SentenceSpoken,
)
from patter_nb.step.effects import FlushPlayback, PausePlayback, Play, ResumePlayback, Speak
from patter_nb.step.inputs import AudioMade, PieceChecked, PieceSpoken
from patter_nb.step.scene import Scene
from patter_nb.step.state import Held, Mute, Piece, Sounding
from patter_nb.transports.base import Block, LocalPause, Played


def speak(s: Scene, text: str, *, round: int = 0, kind: SentenceKind = "answer") -> None:
    """Hand one more piece to the voice."""
    if not text.strip():
        return
    index = len(s.answer.pieces)
    s.change_answer(pieces=(*s.answer.pieces, Piece(round, kind, text)))
    s.log(SentenceReady(index, round, text, kind))
    s.do(Speak(s.state.epoch, s.answer.turn, index, text, kind))


def piece_checked(s: Scene, given: PieceChecked) -> None:
    if given.hit is not None:
        s.log(given.hit)
    s.log(SentenceChecked(given.index, given.text))
    _change_piece(s, given.index, spoken=given.text)


def audio_made(s: Scene, given: AudioMade) -> None:
    start = s.state.voice.sent
    stop = start + len(given.pcm)
    if stop == start:
        return
    s.log(AudioSent(given.index, start, stop))
    s.do(Play(Block(given.pcm, start)))
    before = s.answer.pieces[given.index].start
    _change_piece(s, given.index, start=start if before is None else before, stop=stop)
    s.change_voice(sent=stop)
    if not s.state.plays:
        s.change_voice(played=stop)


def piece_spoken(s: Scene, given: PieceSpoken) -> None:
    s.log(SentenceSpoken(given.index))
    _change_piece(s, given.index, done=True)


def _change_piece(s: Scene, index: int, **fields: object) -> None:
    pieces = list(s.answer.pieces)
    pieces[index] = replace(pieces[index], **fields)  # type: ignore[arg-type]  # the field names are this module's own
    s.change_answer(pieces=tuple(pieces))


def played(s: Scene, given: Played) -> None:
    """The cursor moved: playback began, went on, or everything has been heard."""
    voice = s.state.voice
    position = min(given.position, voice.sent)
    if position <= voice.played:
        return
    if isinstance(voice.stance, Mute):
        s.log(PlaybackStarted(voice.played))
        s.change_voice(stance=Sounding())
    s.change_voice(played=position)


def fall_silent(s: Scene) -> None:
    """Everything that will be heard was heard."""
    voice = s.state.voice
    if isinstance(voice.stance, Held):
        s.do(ResumePlayback())
    if not isinstance(voice.stance, Mute):
        s.log(PlaybackEnded(voice.played, voice.sent - voice.played))
    s.change_voice(played=voice.sent, stance=Mute())


def flush(s: Scene) -> None:
    """Forget the sound that was not heard."""
    if s.state.voice.played < s.state.voice.sent:
        s.do(FlushPlayback())
    fall_silent(s)


def audible(s: Scene) -> bool:
    """Whether the person has heard something of the running answer and more is to come."""
    return isinstance(s.state.voice.stance, Sounding) and s.state.answer is not None


def hold(s: Scene) -> None:
    """Pause, for the person seems to interrupt."""
    s.log(PlaybackPaused(s.state.voice.played, "session"))
    s.do(PausePlayback())
    _hold(s)


def paused_locally(s: Scene, given: LocalPause) -> None:
    """The transport paused by itself; it waits for a word from here."""
    played(s, Played(given.position))
    if audible(s):
        s.log(PlaybackPaused(s.state.voice.played, "transport"))
        _hold(s)
    elif not isinstance(s.state.voice.stance, Held):
        s.do(ResumePlayback())


def _hold(s: Scene) -> None:
    s.change_voice(stance=Held(s.now_ms + s.state.agent.turn_taking.confirm_ms))


def resume(s: Scene, reason: str) -> None:
    """It was no interruption."""
    if isinstance(s.state.voice.stance, Held):
        s.log(PlaybackResumed(s.state.voice.played, reason))
        s.do(ResumePlayback())
        s.change_voice(stance=Sounding())

