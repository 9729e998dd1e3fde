"""An engine in the place of the three stages: it hears, decides when the person has finished, and answers by itself.

What it says comes as a model's chunks do, and with its sound; one piece of the answer grows with both. The person's words may come when
the answer is long under way, or over: until then history has a mark in their place.
"""

from __future__ import annotations

from dataclasses import replace

from patter_nb.errors import PatterError, RequestTimeout
from patter_nb.events import (
    LLMRequested,
    SentenceChecked,
    SentenceReady,
    SentenceSpoken,
    SpeechStarted,
    SpeechStopped,
    StageFailed,
    TranscriptFinal,
    TranscriptPartial,
    TurnStarted,
    TurnWords,
    UtteranceDropped,
)
from patter_nb.llm.base import Message, costs_of, name_of
from patter_nb.llm.rounds import Round
from patter_nb.pipeline.sentences import speakable
from patter_nb.step import answering, failing
from patter_nb.step.effects import Cancel, EndSound, Follow
from patter_nb.step.inputs import AudioMade, EngineAnswers, EngineBlocked, EngineSound, EngineVoice, EngineWords
from patter_nb.step.scene import Scene
from patter_nb.step.speaking import audio_made, cut, flush, owes_sound, speak
from patter_nb.step.state import LETTERS_A_SECOND, Answer, Asking, Closing, Gathering, Piece, Silent, TextComplete


def _mark(turn: int) -> str:
    """What stands in history for words that are not known yet, or never were."""
    return f"(inaudible, turn {turn})"


def voice(s: Scene, given: EngineVoice) -> None:
    """The person began to speak, which interrupts whatever is being said; or has finished."""
    if given.began:
        s.change(hushed=False)
        s.log(SpeechStarted(given.sample))
        if s.state.answer is not None:
            answering.interrupt(s)
        s.change(utterance=Gathering())
    elif isinstance(s.state.utterance, Gathering):
        s.log(SpeechStopped(given.sample, given.silence_ms))
        s.change(utterance=Closing(s.state.utterance.words, 1, 0.0, s.now_ms))


def words(s: Scene, given: EngineWords) -> None:
    """The person's words: of the turn that waits for them (the longest, where they have no name), else of the one about to begin."""
    said = s.state.utterance
    if not given.is_final:
        s.log(TranscriptPartial(given.text))
        return
    s.log(TranscriptFinal(given.text))
    waiting = next((place for place in s.state.wordless if not given.item or place[1] == given.item), None)
    if waiting is not None:
        s.change(wordless=tuple(place for place in s.state.wordless if place != waiting))
        _fill_in(s, waiting[0], given.text)
    elif not isinstance(said, Silent):
        s.change(utterance=replace(said, words=(*said.words, given.text.strip())))
    elif speakable(given.text):
        s.log(UtteranceDropped(given.text, "the engine did not answer it"))


def _fill_in(s: Scene, turn: int, text: str) -> None:
    if not speakable(text):
        return
    s.log(TurnWords(text), turn=turn)
    if s.state.answer is not None and s.state.answer.turn == turn:
        user: tuple[Message, ...] = ({"role": "user", "content": text},)
        s.change_answer(words=text, user=user, base=(*s.answer.base[: len(s.answer.base) - 1], *user))
        return
    mark = _mark(turn)
    known = [
        {**message, "content": message["content"].replace(mark, text)} if mark in str(message.get("content")) else message
        for message in s.state.history
    ]
    s.change(history=tuple(known))


def answers(s: Scene, given: EngineAnswers) -> None:
    """The engine answers what it heard: a turn begins."""
    if s.state.hushed:
        return  # nobody follows it, so it is given up
    said = s.state.utterance
    text = " ".join(said.words) if not isinstance(said, Silent) else ""
    successor = s.state.next_agent
    if successor is not None and successor.engine is not s.state.agent.engine and (text or isinstance(said, Silent)):
        s.change(utterance=Silent())
        if text:
            answering.begin(s, "speech", text)  # by who comes next
        return
    if s.state.answer is not None:
        answering.interrupt(s)
    turn = s.state.turns + 1
    s.change(turns=turn, epoch=s.state.epoch + 1, utterance=Silent())
    if not text:
        s.change(wordless=(*s.state.wordless, (turn, given.item)))
    user: tuple[Message, ...] = ({"role": "user", "content": text or _mark(turn)},)
    base = (*answering.system_of(s.state.agent), *s.state.history, *user)
    s.change(answer=Answer(turn, "speech", s.now_ms, Asking(Round(1), s.now_ms), words=text, user=user, base=base))
    s.log(TurnStarted("speech", text))
    agent = s.state.agent
    provider, model = name_of(agent.engine)
    tools = tuple(tool.name for tool in agent.tools)
    s.log(LLMRequested(1, provider, model, costs_of(agent.engine), tools, len(s.state.history), (), "engine"))
    s.do(Follow(given.id, s.state.epoch, turn, 1))


def spoken(s: Scene, text: str, *, round: int) -> None:
    """More of what the engine says."""
    if not text:
        return
    index = _piece(s, round)
    piece = s.answer.pieces[index]
    grown = piece.words + text
    s.log(SentenceChecked(index, grown))
    _change(s, index, replace(piece, text=grown, spoken=grown, length=len(grown) * s.state.rate // LETTERS_A_SECOND))


def sound(s: Scene, given: EngineSound) -> None:
    """More of how it sounds."""
    audio_made(s, AudioMade(given.epoch, _piece(s, given.round), given.pcm))


def finished(s: Scene, *, round: int) -> bool:
    """The engine has said all of this round; whether it made any sound."""
    if s.state.agent.engine is None:
        return False
    index = _known(s, round)
    if index is None:
        return False
    s.log(SentenceSpoken(index))
    _change(s, index, replace(s.answer.pieces[index], done=True))
    return s.answer.pieces[index].start is not None


def blocked(s: Scene, given: EngineBlocked) -> None:
    """What it says must not be said: it falls silent where it was heard to, and says the replacement."""
    s.log(given.hit)
    s.do(Cancel(s.state.epoch, heard(s)))
    cut(s, s.state.voice.played)
    flush(s)
    s.change(epoch=s.state.epoch + 1)
    s.change_answer(work=TextComplete())
    speak(s, given.hit.replacement)


def hush(s: Scene) -> None:
    """The person ended the call: what the engine heard is not to be answered, whenever it comes to that."""
    if s.state.agent.engine is None or isinstance(s.state.utterance, Silent):
        return
    if isinstance(s.state.utterance, Gathering):
        s.do(EndSound())
    s.change(hushed=True)


def overdue(s: Scene) -> None:
    """The engine has heard the person finish, and does not answer."""
    told = f"The engine did not answer within {failing.STT_SILENCE_MS / 1000:.0f} s of the person's last word."
    provider, model = name_of(s.state.agent.engine)
    hint = "Say it again; if that does not help: session.engine = ..."
    s.log(StageFailed("engine", RequestTimeout(told, provider=provider, model=model, hint=hint)))
    answering.drop_words(s, "the engine did not answer it")


def gone(s: Scene, error: PatterError) -> None:
    """The engine has ended for good, and with it what it was saying or was asked for."""
    answering.drop_words(s, "the engine failed")
    s.change(wordless=(), hushed=False)
    if s.state.answer is not None and (isinstance(s.answer.work, Asking) or owes_sound(s.answer)):
        failing.fail(s, "engine", error, voiceless=True)
    else:
        s.log(StageFailed("engine", error))


def heard(s: Scene) -> int | None:
    """How many samples of the newest thing an engine said were heard; None where all of it was, or nothing sounds."""
    if s.state.agent.engine is None or not s.answer.pieces:
        return None
    piece, played = s.answer.pieces[-1], s.state.voice.played
    if piece.start is None or piece.stop is None or (piece.done and played >= piece.stop):
        return None
    return max(0, played - piece.start)


def _known(s: Scene, round: int) -> int | None:
    pieces = s.answer.pieces
    return next((at for at, piece in enumerate(pieces) if piece.round == round and piece.kind == "answer" and not piece.done), None)


def _piece(s: Scene, round: int) -> int:
    """The piece that the engine's answer to this request is."""
    known = _known(s, round)
    if known is not None:
        return known
    s.change_answer(pieces=(*s.answer.pieces, Piece(round, "answer", "", spoken="")), voice_ms=s.now_ms)
    index = len(s.answer.pieces) - 1
    s.log(SentenceReady(index, round, ""))
    return index


def _change(s: Scene, index: int, piece: Piece) -> None:
    pieces = list(s.answer.pieces)
    pieces[index] = piece
    s.change_answer(pieces=tuple(pieces), voice_ms=s.now_ms)
