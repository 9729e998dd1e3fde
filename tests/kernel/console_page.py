"""The console as its page sees it, played by a test over a real kernel's sockets."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from kernel_page import PATIENCE_S, Cell, KernelPage, Widget

FRAMES_A_MESSAGE = 2
MESSAGE_S = 0.04

SERVE = """
import asyncio, base64, json, threading, time
from patter_nb import Patter
from patter_nb.testing import Hold, RecordedVAD, ScriptedLLM, ScriptedSTT, ScriptedTTS

llm = ScriptedLLM({replies})
voice = dict(stt=ScriptedSTT([]), vad=RecordedVAD.speaking(), tts=ScriptedTTS(ms_per_char=10))
agent = Patter().agent(llm=llm, **(voice if {voice} else dict()))
session = await Patter().serve(agent, runtime={runtime!r})
"""
REPLIES = '[f"Answer {number}." for number in range(1, 9)]'


def serving(runtime: str, *, voice: bool = True, replies: str = REPLIES) -> str:
    """A cell that starts a session with scripted providers; nobody ever speaks."""
    return SERVE.format(runtime=runtime, voice=voice, replies=replies)


def frame(seq: int) -> bytes:
    """20 ms that no other frame is like."""
    return np.full(320, seq + 1, "<i2").tobytes()


@dataclass(slots=True)
class ConsolePage:
    """A page that shows a session: tells what its person does on `ears`, and is told on `screen`."""

    kernel: KernelPage
    ears: Widget
    screen: Widget
    name: str = "page one"
    spoken: int = 0
    """So many frames were sent."""

    def tell(self, kind: str, *buffers: bytes, **content: Any) -> None:
        """Send a message as the page's script would."""
        self.ears.send({"kind": kind, "page": self.name, **content}, *buffers)

    async def ready(self) -> dict[str, Any]:
        """Introduce the page; the snapshot that answers it."""
        before = len(self.screen.messages)
        self.tell("ready", last=-1, sent=time.time() * 1000)

        def answer() -> dict[str, Any] | None:
            return next((told.content for told in self.screen.messages[before:] if told.content["kind"] == "snapshot"), None)

        snapshot = await self.kernel.until(answer)
        assert snapshot is not None
        return snapshot

    def speak(self) -> None:
        """Send the next frames, each like no other."""
        pcm = frame(self.spoken) + frame(self.spoken + 1)
        at_ms, sent = self.spoken * 20.0, time.time() * 1000
        self.tell("frames", pcm, opening=1, seq=self.spoken, t=at_ms, sent=sent, count=FRAMES_A_MESSAGE)
        self.spoken += FRAMES_A_MESSAGE

    async def speak_for(self, seconds: float) -> None:
        """Send frames at the pace of a microphone; what is due already is sent at once."""
        began = time.monotonic()
        for number in range(round(seconds / MESSAGE_S)):
            await asyncio.sleep(max(0.0, began + number * MESSAGE_S - time.monotonic()))
            self.speak()

    async def running(self, code: str) -> Cell:
        """Start a cell that prints something first, and wait for that."""
        cell = self.kernel.start(code)
        await self.kernel.until(lambda: cell.text)
        return cell

    async def value(self, expression: str) -> Any:
        """The value of a Python expression in the kernel, if JSON has it."""
        return json.loads(await self.kernel.run(f"print(json.dumps({expression}))"))

    async def heard(self) -> bytes:
        """The sound in the log, once it is as much as was sent."""
        until = f"while len(session.audio.heard) < {320 * self.spoken} and time.monotonic() < by: await asyncio.sleep(0.01)"
        await self.kernel.run(f"by = time.monotonic() + {PATIENCE_S / 2}\n{until}")
        return base64.b64decode(await self.value("base64.b64encode(np.asarray(session.audio.heard).tobytes()).decode()"))


async def shown(kernel: KernelPage, runtime: str, **given: Any) -> ConsolePage:
    """Serve a session as `serving` does, show it, answer as a page does, and open the microphone."""
    await kernel.run("import numpy as np" + serving(runtime, **given))
    await kernel.run("session")
    page = ConsolePage(kernel, await kernel.widget("Ears"), await kernel.widget("Screen"))
    await page.ready()
    page.tell("talk", facts={"label": "a test"})
    async with asyncio.timeout(20):
        while not await page.value("session.transport.speaker is not None"):  # noqa: ASYNC110  # the kernel is asked, which takes its time
            await asyncio.sleep(0.02)
    return page
