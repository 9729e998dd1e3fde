"""From `open` to `aclose` over a WebSocket: frames out, finals gathered, each `finalize` answered once, failures told.

A connection that breaks while an utterance is under way fails it; one that ends while nobody speaks has lost nothing, and the next frame
opens another.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from patter_nb.audio.frames import Frame
from patter_nb.errors import PatterError, RequestTimeout, TruncatedStream
from patter_nb.stt.base import Transcript
from patter_nb.stt.wire.link import Closed, Link, Message, malformed
from patter_nb.stt.wire.sounding import Pieces, Timeline
from patter_nb.stt.wire.stream import Stream
from patter_nb.stt.wire.told import Answered, Declined, Decoder, Interim, Segment, Told, Utterance
from patter_nb.wire.pool import pool

if TYPE_CHECKING:
    from patter_nb.stt.wire.socket import SocketSTT

__all__ = ["SocketStream"]

logger = logging.getLogger("patter_nb")

IDLE_MS = 1000.0
"""When so long no frame has come, nobody speaks."""
LITTLE_MS = 1000.0
"""So much sound behind its last final a vendor may find too little to speak of."""
_AGAIN = "Say it again, or use another provider: session.use(stt=...)."


@dataclass(slots=True)
class _Line:
    """One connection: what waits to be sent, and the sound that was."""

    pieces: Pieces
    timeline: Timeline
    outbox: asyncio.Queue[tuple[Message, Utterance | None]] = field(default_factory=asyncio.Queue)
    """An utterance beside the message that ends it."""
    link: Link | None = None
    sent_at_ms: float = 0.0
    past_ms: float = float("-inf")
    """What the vendor says of the sound before this comes too late."""


class SocketStream(Stream):
    """`rate` is that of the frames, in Hz; `link` a connection that is open already."""

    def __init__(self, stt: SocketSTT, rate: int, link: Link | None) -> None:
        super().__init__()
        self._stt = stt
        self._clock = stt.clock
        self._rate = rate
        self._heard = deque([Utterance(stt.joint)])
        self._shown, self._unheard = "", 0
        self._pushed_at_ms = self._clock.now_ms()
        self._line: _Line | None = None
        self._connect(link)

    # --- sound

    def push(self, frame: Frame) -> None:
        if self._deaf or not len(frame.pcm):
            return
        line = self._line or self._connect()
        self._pushed_at_ms = self._clock.now_ms()
        line.timeline.push(frame)
        self._heard[-1].pushed = True
        for piece in line.pieces.push(frame.pcm):
            line.outbox.put_nowait((self._stt.sound(piece), None))

    def finalize(self) -> None:
        if self._deaf:
            return
        utterance = self._heard[-1]
        utterance.finalized = True
        self._heard.append(Utterance(self._stt.joint))
        line = self._line
        if utterance.pushed and line is not None:
            pieces, silence_ms = line.pieces.flush()
            line.timeline.pad(silence_ms)
            utterance.end_ms = line.timeline.sent_ms
            for piece in pieces:
                line.outbox.put_nowait((self._stt.sound(piece), None))
            line.outbox.put_nowait((self._stt.asking(), utterance))
        self._answer_the_empty()

    # --- the connection

    def _connect(self, link: Link | None = None) -> _Line:
        stt = self._stt
        pieces = Pieces(self._rate, stt.sample_rate, piece_ms=stt.piece_ms, shortest_ms=stt.shortest_ms)
        self._line = line = _Line(pieces, Timeline(self._rate))
        for message in stt.greeting():
            line.outbox.put_nowait((message, None))
        self._spawn(self._serve(line, link), f"{stt.provider} in")
        return line

    async def _serve(self, line: _Line, link: Link | None) -> None:
        """The connection from its handshake to its end."""
        stt, helpers = self._stt, list[asyncio.Task[None]]()
        try:
            line.link = link = link or await stt.dial()
            line.sent_at_ms = self._clock.now_ms()
            helpers = [self._spawn(self._write(line, link), f"{stt.provider} out"), self._spawn(self._keep(line, link), "keep-alive")]
            decoder = stt.decoder()
            while True:
                self._read(line, decoder, await link.receive())
        except Closed as closed:
            self._hung_up(line, closed)
        except (Declined, PatterError) as error:
            self._fail(stt.error(error.refusal) if isinstance(error, Declined) else error)
        finally:
            for helper in helpers:
                helper.cancel()
            if link is not None and not self._closed:
                pool().later(link.close())

    async def _write(self, line: _Line, link: Link) -> None:
        try:
            while True:
                message, asked = await line.outbox.get()
                await link.send(message)
                line.sent_at_ms = self._clock.now_ms()
                if asked is not None:
                    self._spawn(self._expect(line, asked), "waiting for a final")
        except Closed:
            return  # the reader finds it closed, too, and says why

    async def _keep(self, line: _Line, link: Link) -> None:
        message, every_ms = self._stt.keep_alive, self._stt.keep_alive_ms
        while message is not None:
            await self._clock.sleep_until(line.sent_at_ms + every_ms)
            if self._clock.now_ms() >= line.sent_at_ms + every_ms:
                line.outbox.put_nowait((message, None))
                line.sent_at_ms = self._clock.now_ms()

    def _hung_up(self, line: _Line, closed: Closed) -> None:
        refusal = self._stt.closing(closed.code, closed.reason)
        if refusal is not None:
            self._fail(self._stt.error(refusal))
        elif self._line is line and self._is_idle():
            logger.info("%s hung up while nobody spoke (%s)", self._stt.provider, closed)
            self._line = None
            self._heard[0].pushed = False
        else:
            self._fail(closed)

    def _is_idle(self) -> bool:
        """Whether nobody speaks: frames of speech come all the time, and the silence behind an utterance is no new one."""
        utterance = self._heard[0]
        waits = utterance.finalized or utterance.text
        return not waits and (not utterance.pushed or self._clock.now_ms() - self._pushed_at_ms >= IDLE_MS)

    # --- what comes

    def _read(self, line: _Line, decoder: Decoder, message: Mapping[str, Any]) -> None:
        if not isinstance(message.get("type"), str):
            raise malformed(self._stt.source, f"{message!r:.200}")
        try:
            told = list(decoder.take(message))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise malformed(self._stt.source, f"{message!r:.200}") from error
        for one in told:
            self._take(line, one)

    def _take(self, line: _Line, told: Told) -> None:
        if not isinstance(told, Interim) and told.until_ms is not None and told.until_ms <= line.past_ms:
            logger.info("%s said too late: %s", self._stt.provider, told)
            return
        utterance, self._unheard = self._heard[0], 0
        utterance.told_ms = self._clock.now_ms()
        if isinstance(told, Answered):
            self._answer(utterance)
            return
        if isinstance(told, Segment):
            told = replace(told, words=line.timeline.placed(told.words))
        utterance.take(told)
        if utterance.text not in ("", self._shown):
            self._shown = utterance.text
            self._emit(Transcript(self._shown, is_final=False))

    def _answer(self, utterance: Utterance) -> None:
        if utterance is self._heard[0] and utterance.finalized:
            self._heard.popleft()
            utterance.answered, self._shown = True, ""
            self._emit(utterance.final())
            self._answer_the_empty()

    def _answer_the_empty(self) -> None:
        """An utterance without sound needs no vendor to say that there are no words in it."""
        if self._heard[0].finalized and not self._heard[0].pushed:
            self._answer(self._heard[0])

    async def _expect(self, line: _Line, utterance: Utterance) -> None:
        """Fail unless the answer comes in time; take silence for one where the vendor means it so."""
        stt, asked_ms = self._stt, self._clock.now_ms()
        if stt.quiet_ms is not None:
            await self._clock.sleep_until(asked_ms + stt.quiet_ms)
            if not utterance.answered and self._may_be_quiet(utterance):
                self._unheard += utterance.told_ms is None
                line.past_ms = utterance.end_ms
                self._answer(utterance)
        while not utterance.answered:
            due_ms = max(asked_ms, utterance.told_ms or 0.0) + stt.timeout_s * 1000
            if self._clock.now_ms() >= due_ms:
                told = f"{stt.provider} did not answer within {stt.timeout_s:g} s."
                return self._fail(stt.failure(RequestTimeout, told, f"{_AGAIN} timeout_s= sets the time."))
            await self._clock.sleep_until(due_ms)

    def _may_be_quiet(self, utterance: Utterance) -> bool:
        """Whether the vendor's silence says that nothing is left, rather than that something is wrong."""
        if utterance.interim:
            return False
        if self._stt.quiet_without_words:
            return utterance.told_ms is not None or not self._unheard
        return utterance.end_ms - utterance.until_ms <= LITTLE_MS

    # --- failures

    def _give_up(self, error: BaseException) -> BaseException:
        stt = self._stt
        heard = " ".join(utterance.text for utterance in self._heard if utterance.text)
        self._heard, self._shown, self._line = deque([Utterance(stt.joint)]), "", None
        for task in list(self._tasks):
            if task is not asyncio.current_task():
                task.cancel()
        if isinstance(error, Closed):
            told = f"{stt.provider} broke the connection off in mid-utterance ({error})."
            code = str(error.code)
            error = TruncatedStream(told, partial_text=heard, hint=_AGAIN, provider=stt.provider, model=stt.model, code=code)
        if isinstance(error, PatterError) and heard:
            error.message = f"{error.message} Heard until then: {heard!r}."
        return error

    def _recover(self) -> None:
        self._connect()

    async def _farewell(self) -> None:
        if self._line is not None and self._line.link is not None:
            await self._line.link.close(self._stt.farewell())
