"""The answer's way to the person's ear: pieces, sound, the cursor, and what happens when the person speaks into it.

Someone who seems to interrupt only pauses playback. Words confirm the interruption; silence, or time, lets it go on from the
same sample. What sounds is read off the cursor, never off what was sent: between two pieces the agent is silent.
"""

from __future__ import annotations

from dataclasses import replace

from patter_nb.audio.frames import Block
from patter_nb.audio.level import quiet_until
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
from patter_nb.pipeline.sentences import SentenceState
from patter_nb.pipeline.sentences import flush as flush_draft
from patter_nb.pipeline.sentences import push as push_draft
from patter_nb.step.effects import FlushPlayback, PausePlayback, Play, ResumePlayback, Speak
from patter_nb.step.inputs import AudioMade, PieceChecked, PieceSpoken
from patter_nb.step.scene import Scene
from patter_nb.step.state import LETTERS_A_SECOND, Answer, Gathering, Idle, Paused, Piece, Playing, heard_pieces
from patter_nb.transports.base import LocalPause, Played

CURSOR_GRACE_MS = 2_000.0
"""Sound whose cursor stands still for this long after it should have ended counts as heard: nobody tells, or nobody listens."""


def write(s: Scene, text: str, *, round: int) -> None:
    """More text of the answer: what is whole of it goes to the voice."""
    draft, pieces = push_draft(s.answer.draft, text)
    s.change_answer(draft=draft)
    for piece in pieces:
        speak(s, piece, round=round)


def close_draft(s: Scene, *, round: int) -> None:
    """No more text of the round comes: the rest goes to the voice."""
    for piece in flush_draft(s.answer.draft):
        speak(s, piece, round=round)
    s.change_answer(draft=SentenceState())


def speak(s: Scene, text: str, *, round: int = 0, kind: SentenceKind = "answer") -> None:
    """Hand one more piece to the voice."""
    if not text.strip():
        return
    index = len(s.answer.pieces)
    before = next((piece for piece in reversed(s.answer.pieces) if piece.kind != "filler" and piece.words), None)
    if before is not None and (before.round, before.kind) != (round, kind) and not before.words[-1].isspace():
        text = f" {text}"  # words of another round or kind do not run into those before
    if not owes_sound(s.answer):
        s.change_answer(voice_ms=s.now_ms)
    s.change_answer(pieces=(*s.answer.pieces, Piece(round, kind, text)))
    s.log(SentenceReady(index, round, text, kind))
    if s.answer.early is None:
        s.do(Speak(s.state.epoch, s.answer.turn, index, text, kind))


def owes_sound(answer: Answer) -> bool:
    """Whether the voice still works on a piece."""
    return not all(piece.done for piece in answer.pieces)


def piece_checked(s: Scene, given: PieceChecked) -> None:
    if given.hit is not None:
        s.log(given.hit)
    text = spaced_like(s.answer.pieces[given.index].text, given.text)
    s.log(SentenceChecked(given.index, text))
    _change_piece(s, given.index, spoken=text, length=len(text) * s.state.rate // LETTERS_A_SECOND)


def spaced_like(piece: str, checked: str) -> str:
    """The checked text, kept apart from its neighbours as the piece was: a hook may well strip its text."""
    if not checked.strip():
        return ""
    before = " " if piece[0].isspace() and not checked[0].isspace() else ""
    after = " " if piece[-1].isspace() and not checked[-1].isspace() else ""
    return before + checked + after


def audio_made(s: Scene, given: AudioMade) -> None:
    voice = s.state.voice
    start, stop = voice.sent, voice.sent + len(given.pcm)
    if stop == start:
        return
    s.log(AudioSent(given.index, start, stop, 0 if given.speech is not None else quiet_until(given.pcm)))
    s.do(Play(Block(given.pcm, start, given.speech)))
    before = s.answer.pieces[given.index].start
    _change_piece(s, given.index, start=start if before is None else before, stop=stop)
    s.change_voice(sent=stop, moved_ms=s.now_ms if voice.played == voice.sent else voice.moved_ms)
    if not s.state.plays:
        s.change_voice(played=stop)


def piece_spoken(s: Scene, given: PieceSpoken) -> None:
    s.log(SentenceSpoken(given.index))
    _change_piece(s, given.index, done=True)


def _change_piece(s: Scene, index: int, **fields: object) -> None:
    pieces = list(s.answer.pieces)
    pieces[index] = replace(pieces[index], **fields)  # type: ignore[arg-type]  # the field names are this module's own
    s.change_answer(pieces=tuple(pieces), voice_ms=s.now_ms)


def cut(s: Scene, position: int) -> list[tuple[Piece, str]]:
    """End every piece where its sound stands at `position` of the output axis; returns those cut, each with its text from there on."""
    rests: list[tuple[Piece, str]] = []
    for index, (piece, text) in enumerate(zip(s.answer.pieces, heard_pieces(s.answer.pieces, position), strict=True)):
        spoken = f"{text.rstrip()} " if text.strip() else ""  # what is spoken next must not run into it
        _change_piece(s, index, spoken=spoken, done=True, stop=piece.stop and max(piece.start or 0, min(piece.stop, position)))
        if spoken != piece.words:
            s.log(SentenceChecked(index, spoken))
        if text != piece.words:
            rests.append((piece, piece.words[len(text) :]))
    return rests


def played(s: Scene, given: Played) -> None:
    """The cursor moved: playback began, went on, or everything sent has been heard."""
    voice = s.state.voice
    position = min(given.position, voice.sent)
    if position <= voice.played:
        return
    s.change_voice(played=position, moved_ms=s.now_ms)
    if isinstance(voice.stance, Idle):
        moved_ms = (position - voice.played) * 1000 / s.state.rate
        s.log(PlaybackStarted(voice.played, None if given.ago_ms is None else round(given.ago_ms + moved_ms, 3)))
        s.change_voice(stance=Playing())
        if isinstance(s.state.utterance, Gathering):
            s.change(utterance=replace(s.state.utterance, audible=True))
            if not s.state.agent.turn_taking.half_duplex:
                hold(s)
    _end_if_drained(s)


def _end_if_drained(s: Scene) -> None:
    voice = s.state.voice
    if isinstance(voice.stance, Playing) and voice.played == voice.sent:
        s.log(PlaybackEnded(voice.played))
        s.change_voice(stance=Idle())


def assume_heard(s: Scene) -> None:
    """The sound should have ended by now, and no cursor tells; whoever still has it need not keep it."""
    if s.state.voice.played < s.state.voice.sent:
        s.do(FlushPlayback())
    played(s, Played(s.state.voice.sent, None))


def fall_silent(s: Scene) -> None:
    """Everything that will be heard was heard."""
    voice = s.state.voice
    if isinstance(voice.stance, Paused):
        s.do(ResumePlayback())
    if not isinstance(voice.stance, Idle):
        s.log(PlaybackEnded(voice.played, voice.sent - voice.played))
    s.change_voice(played=voice.sent, stance=Idle())


def flush(s: Scene) -> None:
    """Forget the sound that was not heard."""
    if s.state.voice.played < s.state.voice.sent:
        s.do(FlushPlayback())
    fall_silent(s)


def audible(s: Scene) -> bool:
    """Whether the person hears the running answer."""
    return isinstance(s.state.voice.stance, Playing) and s.state.answer is not None


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
    elif not isinstance(s.state.voice.stance, Paused):
        s.do(ResumePlayback())


def hold_on(s: Scene) -> None:
    """They may well be interrupting: playback stays paused for as long again, or is paused anew."""
    if audible(s):
        hold(s)
    elif isinstance(s.state.voice.stance, Paused):
        _hold(s)


def _hold(s: Scene) -> None:
    s.change_voice(stance=Paused(s.now_ms + s.state.agent.turn_taking.confirm_ms))


def resume(s: Scene, reason: str) -> None:
    """It was no interruption."""
    if isinstance(s.state.voice.stance, Paused):
        s.log(PlaybackResumed(s.state.voice.played, reason))
        s.do(ResumePlayback())
        s.change_voice(stance=Playing(), moved_ms=s.now_ms)
        _end_if_drained(s)
