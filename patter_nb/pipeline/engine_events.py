"""What an engine does, as inputs of the session: the person's voice and words, and the answers, each to the turn that wants it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from patter_nb.audio.frames import Pcm
from patter_nb.audio.resampling import Resampler
from patter_nb.engines.base import (
    AnswerBegan,
    AnswerChunk,
    AnswerEnded,
    AnswerFailed,
    AnswerSound,
    Complaint,
    Engine,
    EngineEvent,
    Heard,
    VoiceBegan,
    VoiceEnded,
)
from patter_nb.events import LLMChunked, SpeechUsed
from patter_nb.llm.base import LLMChunk, costs_of, name_of
from patter_nb.pipeline.capture_axis import CaptureAxis
from patter_nb.pipeline.door import Door, within
from patter_nb.pipeline.requests import Request, Requests
from patter_nb.pipeline.sentences import flush, push
from patter_nb.step.inputs import (
    AudioMade,
    Booked,
    ChunkArrived,
    EngineAnswers,
    EngineBlocked,
    EngineSound,
    EngineVoice,
    EngineWords,
    Failure,
    PieceSpoken,
    StreamEnded,
)

__all__ = ["EngineEvents"]


class EngineEvents:
    """The events of one conversation of an engine. `order` puts work behind what the engine is being told, `ask_next` tells it more."""

    def __init__(
        self,
        door: Door,
        engine: Engine,
        requests: Requests,
        axis: CaptureAxis,
        order: Callable[[Callable[[], Awaitable[None]]], None],
        ask_next: Callable[[], None],
    ) -> None:
        self._door = door
        self._engine = engine
        self._requests = requests
        self._axis = axis
        self._order = order
        self._ask_next = ask_next

    def take(self, event: EngineEvent) -> None:  # noqa: C901, PLR0912  # one case for each event
        match event:
            case VoiceBegan(at_ms):
                self._door.feed(EngineVoice(True, self._axis.sample(at_ms)))
            case VoiceEnded(at_ms):
                sample = self._axis.sample(at_ms)
                self._door.feed(EngineVoice(False, sample, self._axis.silence_ms(sample)))
            case Heard(text, is_final, item, used):
                if used is not None:
                    self._door.feed(Booked(used))
                self._door.feed(EngineWords(text, is_final, item))
            case AnswerBegan(id, asked, item):
                self._begin(id, asked, item)
            case AnswerChunk(id, chunk) if chunk.type == "usage":
                self._book(self._requests.payer(id), chunk)
            case AnswerChunk(id, chunk):
                if (request := self._requests.of(id)) is not None:
                    self._chunk(request, chunk)
            case AnswerSound(id, pcm):
                if (request := self._requests.of(id)) is not None:
                    self._sound(request, self._resampler(request).push(pcm))
            case AnswerEnded(id, reason):
                self._end(id, self._requests.of(id), reason)
            case AnswerFailed(id, error):
                failed = self._requests.refuse() if id is None else self._requests.end(id)
                if failed is not None:
                    self._door.feed(Failure(failed.epoch, "engine", error))
                self._ask_next()
            case Complaint(error):
                self._door.feed(Failure(None, "engine", error))

    def _resampler(self, request: Request) -> Resampler:
        if request.resampler is None:
            request.resampler = Resampler(self._engine.output_format.sample_rate, self._door.transport.output.sample_rate)
        return request.resampler

    def _begin(self, id: str, asked: bool, item: str) -> None:
        if not asked:
            self._door.feed(EngineAnswers(id, item))  # whose turn may follow it
        if self._requests.begin(id, asked=asked) is None:
            self._order(self._engine.cancel)

    def _book(self, request: Request | None, usage: LLMChunk) -> None:
        """An answer is charged for, whether or not it is still wanted, or ever was."""
        if request is not None:
            self._door.feed(Booked(LLMChunked(request.round, usage, request.piece), request.turn))
            return
        provider, model = name_of(self._engine)
        self._door.feed(Booked(SpeechUsed("engine", provider, model, costs_of(self._engine), tokens=(usage,))))

    def _chunk(self, request: Request, chunk: LLMChunk) -> None:
        if request.piece is not None:
            return
        if chunk.id is not None:
            self._requests.made(chunk.id)
        self._door.feed(ChunkArrived(request.epoch, request.round, chunk))
        if chunk.type == "text" and self._door.agent.guardrails:
            request.draft, sentences = push(request.draft, chunk.content or "")
            self._check(request, sentences)

    def _check(self, request: Request, sentences: Sequence[str]) -> None:
        """Have what the engine says checked, sentence by sentence, while it says it."""
        for sentence in sentences:
            self._order(lambda text=sentence: self._checked(request, text))  # type: ignore[misc]  # a default binds it

    async def _checked(self, request: Request, text: str) -> None:
        with self._door.reporting("engine", request.epoch):
            with within("guardrail"):
                hit = await request.guard.hit(self._door.agent.guardrails, text)
            if hit is not None:
                self._door.feed(EngineBlocked(request.epoch, hit))

    def _sound(self, request: Request, pcm: Pcm) -> None:
        if not len(pcm):
            return
        if request.piece is None:
            self._door.feed(EngineSound(request.epoch, request.round, pcm))
        else:
            self._door.feed(AudioMade(request.epoch, request.piece, pcm))

    def _end(self, id: str, request: Request | None, reason: str) -> None:
        """An answer is complete, once all that was said in it was checked."""
        if request is not None:
            self._sound(request, self._resampler(request).flush())
        if request is None or request.piece is not None or not self._door.agent.guardrails:
            self._ended(id, reason)
        else:
            self._check(request, flush(request.draft))
            self._order(lambda: self._ended_checked(id, reason))

    async def _ended_checked(self, id: str, reason: str) -> None:
        self._ended(id, reason)

    def _ended(self, id: str, reason: str) -> None:
        request = self._requests.end(id)
        if request is not None and request.piece is not None:
            self._door.feed(PieceSpoken(request.epoch, request.piece))
        elif request is not None:
            self._door.feed(ChunkArrived(request.epoch, request.round, LLMChunk("done", finish_reason=reason)))
            self._door.feed(StreamEnded(request.epoch, request.round))
        self._ask_next()
