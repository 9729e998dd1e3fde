"""Speech to text over one WebSocket for each `open`: a vendor adds its addresses, its messages, and a decoder of what comes back."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Final
from urllib.parse import urlencode

from patter_nb.audio.frames import AudioFormat
from patter_nb.errors import PatterError
from patter_nb.stt.wire.link import Link, Message, dial
from patter_nb.stt.wire.socket_stream import SocketStream
from patter_nb.stt.wire.told import Declined, Decoder
from patter_nb.stt.wire.vendor import USER_AGENT, VendorSTT
from patter_nb.wire.refusals import Refusal

__all__ = ["SocketSTT"]

logger = logging.getLogger("patter_nb")

WARM_MS: Final = 10_000.0
"""How long a connection that was opened ahead waits for `open`: some vendors bill the time, others close one that is silent."""


class SocketSTT(VendorSTT):
    """The protocol of one vendor is the attributes and methods below; `SocketStream` does the rest."""

    sample_rate: ClassVar[int] = 16_000
    """Hz of what the vendor takes; other sound is resampled."""
    piece_ms: ClassVar[int] = 20
    """Milliseconds of sound in one message."""
    shortest_ms: ClassVar[int] = 0
    """The least that the vendor takes in one message."""
    joint: ClassVar[str] = " "
    """What stands between two of the vendor's finals."""
    keep_alive: ClassVar[Message | None] = None
    """What to send so that the vendor does not hang up while nobody speaks."""
    keep_alive_ms: ClassVar[float] = 4000.0
    quiet_ms: ClassVar[float | None] = None
    """A vendor that says nothing to a `finalize` where it has nothing left says it by this much silence; None: it always answers. With
    words still under way, or much sound behind its last final, silence is a failure all the same."""
    quiet_without_words: ClassVar[bool] = False
    """Whether the vendor sends nothing at all for sound without words. Two utterances in a row of which it says nothing are a failure."""

    _warm: Link | None = None
    _cooling: asyncio.Task[None] | None = None

    # --- the vendor's own

    @abstractmethod
    def url(self) -> str:
        """The address, with its query."""

    @abstractmethod
    def headers(self) -> dict[str, str]:
        """What the handshake carries, the key among it."""

    @abstractmethod
    def decoder(self) -> Decoder:
        """What reads a new connection's messages."""

    def greeting(self) -> Sequence[Message]:
        """What is sent first."""
        return ()

    def sound(self, pcm: bytes) -> Message:
        """A message with sound."""
        return pcm

    @abstractmethod
    def asking(self) -> Message:
        """The message that ends an utterance."""

    def farewell(self) -> Sequence[Message]:
        """What is sent before closing."""
        return ()

    def closing(self, code: int, reason: str) -> Refusal | None:
        """What the vendor means by closing so; None: no more than that the connection is over."""
        return Refusal(400, reason) if code in (1003, 1007, 1008, 1009) else None

    # --- connections

    def address(self, path: str, query: dict[str, object]) -> str:
        """`path` below the base, with what is not None of `query`; true and false as vendors write them."""
        told = {key: str(value).lower() if isinstance(value, bool) else value for key, value in query.items() if value is not None}
        return f"{self.base_url}{path}?{urlencode(told, doseq=True)}"

    async def dial(self) -> Link:
        """A connection that the vendor has taken. Raises a `PatterError` once it is not worth trying again."""
        attempt = 0
        while True:
            asked_s = None
            try:
                link = await dial(self.url(), {"User-Agent": USER_AGENT, **self.headers()}, self.source, timeout_s=self.timeout_s)
            except Declined as declined:
                asked_s = declined.asked_wait_s
                error = self.error(declined.refusal, retry_after_s=asked_s)
                if error.status == 404:
                    error.hint = f"Check base_url if you set it. {error.hint}"
                error.__cause__ = declined.__cause__
            except PatterError as failed:
                error = failed
            else:
                return link
            wait_s = self.retrying.wait_s(error, attempt, asked_s)
            if wait_s is None:
                raise error
            logger.info("%s is called again in %.1f s: %s", self.provider, wait_s, error.message)
            attempt += 1
            await self.clock.sleep_until(self.clock.now_ms() + wait_s * 1000)

    async def warmup(self) -> None:
        """Open the connection that `open` will use. A vendor that cannot be reached now is not an error yet."""
        if self._stream is not None and not self._stream.over:
            return
        await self._cool()
        try:
            self._warm = link = await self.dial()
        except PatterError as error:
            logger.warning("%s could not be warmed up: %s", self.provider, error)
        else:
            self._cooling = asyncio.get_running_loop().create_task(self._cool_later(link), name="closing an unused connection")

    async def _cool_later(self, link: Link) -> None:
        """Close a connection that nobody uses in time, or before the loop ends."""
        try:
            await self.clock.sleep_until(self.clock.now_ms() + WARM_MS)
        finally:
            if self._warm is link:
                self._warm = None
                await link.close(self.farewell())

    async def _cool(self) -> None:
        link = self._take_warm()
        if link is not None:
            await link.close(self.farewell())

    def _take_warm(self) -> Link | None:
        """The connection that was opened ahead, if it can still be used here."""
        cooling, self._cooling = self._cooling, None
        if cooling is not None and not cooling.get_loop().is_closed():
            cooling.cancel()
        link, self._warm = self._warm, None
        return link if link is not None and not link.is_closed and link.loop is asyncio.get_running_loop() else None

    def _begin(self, format: AudioFormat) -> SocketStream:
        return SocketStream(self, format.sample_rate, self._take_warm())

    async def aclose(self) -> None:
        """End the stream with the vendor's own farewell, and close its connection."""
        try:
            await super().aclose()
        finally:
            await self._cool()
