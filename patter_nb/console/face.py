"""The live face of one session: the log painted on every page that shows it, and what is done on those pages brought in.

A message of a page may be handled in any thread, so the handler only copies, stamps, acknowledges and hands over. All else happens in
the session's loop, which alone sends on `screen`: changes of the picture in numbered batches, sound as it comes, and a beat by which a
page knows that the kernel is not blocked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np

from patter_nb.audio.frames import FRAME_SAMPLES, Block
from patter_nb.console.inbox import Sound
from patter_nb.console.keepsake import Keepsake
from patter_nb.console.picker import Picker
from patter_nb.console.picture import Picture
from patter_nb.console.recording import example
from patter_nb.console.timeline import TimelineDesk
from patter_nb.console.transport import Arrival, ConsoleTransport, ListenBy, Met, Sounded
from patter_nb.console.widgets import Ears, KeptView, Screen, View
from patter_nb.errors import AudioError
from patter_nb.events import Event
from patter_nb.session import Session
from patter_nb.transports.base import Accept, HungUp, LocalPause, Muted, Played, Trouble, Typed

__all__ = ["Face", "face_of"]

logger = logging.getLogger("patter_nb")

BATCH_S: Final = 0.03
BEAT_S: Final = 0.5
BUSY_S: Final = 0.5
"""A loop that comes back later than this was blocked, and the page is told for how long."""
FRAME_BYTES: Final = 2 * FRAME_SAMPLES
LAST_WORD: Final = ("turn_heard", "turn_offered", "session_stopped")
"""With these a turn is settled, or all of them are."""
ACK_EVERY: Final = 25
"""So many messages with sound are acknowledged by one: for an ipykernel that routes by who answered last, unknown to `Ears`."""
_KEPT: Final[Mapping[str, Callable[[Session], object]]] = {
    "transcript": lambda session: session.turns,
    "chunks": lambda session: session.chunks,
    "tools": lambda session: session.tool_calls,
    "latency": lambda session: session.latency(),
}
"""What a saved notebook keeps of a part."""

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PageSpeaker:
    """The loudspeaker of one page; two of the same page are equal."""

    page: str
    _send: Callable[..., None] = field(compare=False, repr=False)

    def play(self, block: Block, rate: int) -> None:
        if block.speech is None:
            self._send({"kind": "sound", "to": self.page, "start": block.start, "rate": rate}, block.pcm.tobytes())
        else:
            place = {"start": block.start, "length": len(block.pcm)}
            self._send({"kind": "speech", "to": self.page, **place, **asdict(block.speech)})

    def pause(self) -> None:
        self._send({"kind": "pause", "to": self.page})

    def resume(self) -> None:
        self._send({"kind": "resume", "to": self.page})

    def flush(self) -> None:
        self._send({"kind": "flush", "to": self.page})


class Face:
    """Everything that pages know of `session`. Made where the widgets may be made, in a cell; works in the session's loop."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.ears = Ears()
        self.screen = Screen()
        self.keepsake = Keepsake(lambda: session)
        self._kept: dict[str, Keepsake] = {}
        self._views: dict[str, View] = {}
        self._transport = session.transport if isinstance(session.transport, ConsoleTransport) else None
        self._loop = session.loop
        self._seq = -1
        self._flushing: asyncio.TimerHandle | None = None
        self._keeping: asyncio.Handle | None = None
        self._beating: asyncio.Task[None] | None = None
        self._pages: set[str] = set()
        self.facts: dict[str, dict[str, Any]] = {}
        """What each page has told of its browser."""
        self._picker = Picker(session, self._send)
        self._timeline = TimelineDesk(session, self.screen.send)
        self._heard_messages = 0
        session.in_loop(self._follow)
        self.ears.on_msg(self._on_message)

    def _follow(self) -> None:
        """From here on the picture is what the log says. In the session's loop, so that nothing happens in between."""
        self._picture = Picture(self.session)
        self.screen.picture = self._picture.settled()
        self.session.events.subscribe(self._on_event)
        self.session.on_closed(self._end)

    def view(self, part: str, keepsake: str = "") -> View:
        """The widget that shows `part`; the same one each time."""
        if part not in self._views and part == "timeline":
            self._views[part] = self._timeline.view(self.ears, self.screen)
        elif part not in self._views and part in _KEPT:
            self._kept[part] = kept = Keepsake(partial(_KEPT[part], self.session))
            self._views[part] = KeptView(kept.show, part=part, keepsake=kept.id, ears=self.ears, screen=self.screen)
        elif part not in self._views:
            self._views[part] = View(part=part, ears=self.ears, screen=self.screen)
        if keepsake:
            self._views[part].keepsake = keepsake
        return self._views[part]

    # --- from the page, in any thread

    def _on_message(self, widget: object, content: Message, buffers: Sequence[memoryview]) -> None:
        try:
            if content["kind"] == "frames":
                self._hear(content, bytes(buffers[0]))
                return
            if content["kind"] in ("ready", "clock") and self._transport is not None:
                pair = None if content.get("told") is None else (float(content["told"]), float(content["received"]))
                self._transport.offer(Met(str(content["page"]), float(content["sent"]), pair))
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._take, dict(content))
        except Exception as error:  # noqa: BLE001  # what is raised in a handler is shown nowhere
            self._report(error)

    def _hear(self, content: Message, sound: bytes) -> None:
        self._heard_messages += 1
        if self._heard_messages % ACK_EVERY == 1:
            self.ears.send({"kind": "ack", "seq": content["seq"]})
        if not sound or len(sound) % FRAME_BYTES:
            raise ValueError(f"{len(sound)} bytes are not whole frames of {FRAME_BYTES}")
        if self._transport is not None:
            pcm = np.frombuffer(sound, "<i2")
            seq, opening, sent_ms = int(content["seq"]), int(content["opening"]), float(content["sent"])
            echo = tuple(map(bool, content.get("echo", ())))
            captured = content.get("captured")
            captured_ms = None if captured is None else float(captured)
            sender = str(content["page"])
            self._transport.offer(Sound(seq, opening, sent_ms, pcm, sender=sender, echo=echo, captured_ms=captured_ms))

    def _report(self, error: Exception) -> None:
        logger.error("a message of a page could not be taken", exc_info=error)
        told = AudioError(f"A message of the page could not be taken: {type(error).__name__}: {error}", hint="Reload the page.")
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._offer, Trouble(told))

    # --- from the page, in the session's loop

    def _take(self, content: dict[str, Any]) -> None:
        try:
            self._act(content["kind"], str(content.get("page", "")), content)
        except Exception as error:  # noqa: BLE001  # likewise
            self._report(error)

    def _act(self, kind: str, page: str, content: Message) -> None:  # noqa: C901, PLR0912  # one case for each message
        match kind:
            case "ready":
                self._welcome(page)
            case "facts":
                self.facts[page] = {**self.facts.get(page, {}), **content["facts"]}
            case "talk":
                self.facts[page] = {**self.facts.get(page, {}), **content.get("facts", {})}
                self._offer(ListenBy(PageSpeaker(page, self._send)))
                if self._picture.muted:
                    self._offer(Muted(False))
            case "sound_on":
                self._offer(ListenBy(PageSpeaker(page, self._send), greets=not content.get("answering", False)))
            case "typed":
                self._offer(Typed(str(content["text"])))
            case "played" if self._sounds(page):
                position, at = int(content["position"]), content.get("at")
                self._offer(Played(position) if at is None else Sounded(page, position, float(at)))
            case "paused" if self._sounds(page):
                self._offer(LocalPause(int(content["position"])))
            case "muted":
                self._offer(Muted(bool(content["muted"])))
            case "stop":
                self._offer(HungUp())
            case "accept":
                self._offer(Accept(int(content["turn"])))
            case "trouble":
                self._offer(Trouble(AudioError(str(content["cause"]), hint=str(content["remedy"]))))
            case "older":
                turns, older = self._picture.older(int(content["before"]))
                self._send({"kind": "older", "to": page, "turns": turns, "older": older})
            case "example":
                pcm, rate = example()
                self._send({"kind": "recording", "to": page, "rate": rate}, pcm.tobytes())
            case "ping":
                self._send({"kind": "pong", "t0": content["t0"], "t1": self.session.transport.clock.now_ms()})
            case "menu" if page in self._pages:
                self._picker.show(page, content["stage"])
            case "choose" if page in self._pages:
                self._picker.choose(page, content)
            case "resume" if page in self._pages:
                self._picture.standstill.go_on(content["hit"])
            case _ if kind.startswith("timeline_"):
                self._timeline.take(kind, page, content)
            case "bye":
                self._leave(page)
            case "played" | "paused" | "recording" | "clock":
                pass  # of a page that is not listened by; only for the log of messages; or done as it came
            case _:
                raise ValueError(f"a message of an unknown kind, {kind!r:.80}")

    def _welcome(self, page: str) -> None:
        self._flush()
        self._pages.add(page)
        self._send({"kind": "snapshot", "seq": self._seq, "picture": self._picture.whole(), "hears": self._transport is not None})
        if self.session.state != "stopped" and (self._beating is None or self._beating.done()):
            self._beating = self._loop.create_task(self._beat(), name=f"beat of session {self.session.name}")

    def _leave(self, page: str) -> None:
        self._pages.discard(page)
        self.facts.pop(page, None)
        self._timeline.left(page)
        if self._sounds(page):
            self._offer(ListenBy(None))

    def _sounds(self, page: str) -> bool:
        """Whether the agent's sound goes to this page."""
        return self._transport is not None and self._transport.speaker == PageSpeaker(page, self._send)

    def _offer(self, arrival: Arrival) -> None:
        """Bring in what the person does: in order with the sound, where this session hears pages; else at once."""
        if self._transport is not None:
            self._transport.offer(arrival)
        elif not isinstance(arrival, (Met, Sound, Sounded, ListenBy)):
            self.session.take(arrival)

    # --- to the page

    def _on_event(self, event: Event) -> None:
        self._picture.fold(event)
        if self._flushing is None:
            self._flushing = self._loop.call_later(BATCH_S, self._flush)
        if event.type in LAST_WORD and self._keeping is None:
            self._keeping = self._loop.call_soon(self._keep)

    def _flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        ops = self._picture.drain()
        if ops:
            self._seq += 1
            if self._pages:
                self._send({"kind": "batch", "seq": self._seq, "ops": ops})

    def _keep(self) -> None:
        """A turn is over: what a page that is reloaded finds, and what is kept without a kernel."""
        self._keeping = None
        self._flush()
        self.screen.picture = self._picture.settled()
        for kept in (self.keepsake, *self._kept.values()):
            kept.update()
        self._timeline.keep()

    def _end(self) -> None:
        """The session is over: the page is told, and nothing goes on here."""
        self._keep()
        self._timeline.end()
        if self._beating is not None:
            self._beating.cancel()

    async def _beat(self) -> None:
        clock = self.session.transport.clock
        while self._pages:
            began = clock.wall_s()
            self._send({"kind": "beat", "at": clock.now_ms()})
            await asyncio.sleep(BEAT_S)
            busy_s = clock.wall_s() - began - BEAT_S
            if busy_s > BUSY_S:
                self._picture.was_busy(busy_s)
                self._flush()

    def _send(self, content: dict[str, Any], buffer: bytes | None = None) -> None:
        self.screen.send(content, None if buffer is None else [buffer])


def face_of(session: Session) -> Face:
    """The face of `session`, made when it is first shown."""
    if not isinstance(session.face, Face):
        session.face = Face(session)
    return session.face
