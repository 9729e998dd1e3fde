"""What a session adds between an engine's socket and the person, beside the vendor's own client: python bench/engine_latency.py [SECONDS]

A server in a process of its own speaks OpenAI's Realtime. Down: it sends 20 ms of sound every 20 ms, which carries in itself when it was
sent, and the delay is to `Transport.play`, or to where the official client gives the sound. Up: a frame every 20 ms, from where it enters,
the transport or the client's append, to the server. Both by the machine's monotonic clock, and both resample from 16 to 24 kHz.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from aiohttp import WSMsgType, web

from patter_nb import OpenAIRealtime, Patter
from patter_nb.audio.frames import AudioFormat, Block, Frame
from patter_nb.audio.resampling import Resampler
from patter_nb.clock import Clock, SystemClock

SECONDS = 10.0
STEP_S = 0.02
TARGET_MS = 15


def stamped() -> bytes:
    """20 ms at 24 kHz that say when they were sent: the microseconds of the clock, 12 bits a sample."""
    now = int(time.monotonic() * 1e6)
    marks = [(now >> shift) & 0xFFF for shift in (48, 36, 24, 12, 0)]
    return np.array(marks + [0] * (480 - len(marks)), "<i2").tobytes()


def read_stamp(pcm: Any) -> float:
    value = 0
    for mark in pcm[:5]:
        value = (value << 12) | int(mark)
    return value / 1e6


# --- the far side


async def serve(request: web.Request) -> web.StreamResponse:
    ws = web.WebSocketResponse(max_msg_size=0)
    await ws.prepare(request)
    await ws.send_json({"type": "session.created", "event_id": "e", "session": {"type": "realtime"}})
    arrived: list[float] = []
    speaking: asyncio.Task[None] | None = None

    async def speak(seconds: float) -> None:
        where = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0, "event_id": "e"}
        await ws.send_json({"type": "response.created", "event_id": "e", "response": {"id": "r", "metadata": {"asked": "1"}}})
        await ws.send_json({"type": "response.output_audio_transcript.delta", "delta": "Yes.", **where})
        due = time.monotonic()
        for _ in range(int(seconds / STEP_S)):
            await ws.send_json({"type": "response.output_audio.delta", "delta": base64.b64encode(stamped()).decode(), **where})
            due += STEP_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await ws.send_json({"type": "response.done", "event_id": "e", "response": {"id": "r", "status": "completed", "output": []}})

    async for frame in ws:
        if frame.type is not WSMsgType.TEXT:
            continue
        message = json.loads(frame.data)
        if message["type"] == "input_audio_buffer.append":
            arrived.append(time.monotonic())
        elif message["type"] == "response.create":
            speaking = asyncio.ensure_future(speak(float(request.query["seconds"])))
        elif message["type"] == "input_audio_buffer.clear":
            await ws.send_json({"type": "error", "event_id": "e", "error": {"code": "invalid_value", "message": json.dumps(arrived)}})
    if speaking is not None:
        speaking.cancel()
    return ws


async def far_side() -> None:
    app = web.Application()
    app.router.add_get("/v1/realtime", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


@contextmanager
def server() -> Any:
    process = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


# --- two ways there


class Line:
    """A transport with a frame every 20 ms, and a note of when each block was handed to it."""

    paced, plays, awaited, exhausted = True, False, False, False

    def __init__(self, seconds: float) -> None:
        self.clock: Clock = SystemClock()
        self.output = AudioFormat(24_000)
        self.given: list[float] = []
        self.delays: list[float] = []
        self._seconds = seconds
        self._over = asyncio.Event()
        self.all_given = asyncio.Event()

    def check(self, agent: object) -> None: ...

    def check_waiting(self) -> None: ...

    async def inputs(self) -> AsyncIterator[Any]:
        due = time.monotonic()
        for number in range(int(self._seconds / STEP_S)):
            due += STEP_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.given.append(time.monotonic())
            yield Frame(np.full(320, 900, np.int16), number, number * 20.0)
        self.all_given.set()
        await self._over.wait()

    async def play(self, block: Block) -> None:
        self.delays.append(time.monotonic() - read_stamp(block.pcm))

    async def pause(self) -> None: ...

    async def resume(self) -> None: ...

    async def flush(self) -> None: ...

    async def aclose(self) -> None:
        self._over.set()


class Telling(OpenAIRealtime):
    """Tells of which frames a piece of sound came, and when the server got it, which it answers `input_audio_buffer.clear` with."""

    arrived: Sequence[float] = ()

    def __init__(self, seconds: float, **options: Any) -> None:
        super().__init__("key", **options)
        self.frames: list[int] = []
        self.told = asyncio.Event()
        self._seconds = seconds
        self._number = 0

    async def address(self) -> Any:
        url, headers = await super().address()
        return f"{url}&seconds={self._seconds}", headers

    async def push(self, frame: Frame) -> None:
        self._number = frame.seq
        await super().push(frame)

    async def send(self, message: Any) -> None:
        if message["type"] == "input_audio_buffer.append":
            self.frames.append(self._number)
        await super().send(message)

    def take(self, message: Any) -> Any:
        if message["type"] == "error":
            self.arrived = json.loads(message["error"]["message"])
            self.told.set()
            return ()
        return super().take(message)


async def ours(address: str, seconds: float) -> tuple[Any, Any]:
    line, engine = Line(seconds), Telling(seconds, base_url=address)
    async with Patter().serve(Patter().agent(engine=engine), transport=line) as session:
        await session.ask("Speak.")
        await line.all_given.wait()
        await asyncio.sleep(0.2)
        await engine.send({"type": "input_audio_buffer.clear"})
        await engine.told.wait()
    return np.array(line.delays), np.array(engine.arrived) - np.array(line.given)[engine.frames]


async def sdk(address: str, seconds: float) -> tuple[Any, Any]:
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key="key", base_url="http://127.0.0.1/v1", websocket_base_url=address)
    delays: list[float] = []
    given: list[float] = []
    arrived: list[float] = []
    async with client.realtime.connect(model="gpt-realtime-mini", extra_query={"seconds": str(seconds)}) as connection:

        async def talk() -> None:
            up, due = Resampler(16_000, 24_000), time.monotonic()
            for _ in range(int(seconds / STEP_S)):
                due += STEP_S
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                entered = time.monotonic()
                sound = up.push(np.full(320, 900, np.int16))
                if len(sound):
                    given.append(entered)
                    await connection.input_audio_buffer.append(audio=base64.b64encode(sound.tobytes()).decode())
            await asyncio.sleep(0.2)
            await connection.input_audio_buffer.clear()

        talking = asyncio.ensure_future(talk())
        await connection.response.create()
        async for event in connection:
            if event.type == "response.output_audio.delta":
                delays.append(time.monotonic() - read_stamp(np.frombuffer(base64.b64decode(event.delta), "<i2")))
            elif event.type == "error":
                arrived = json.loads(event.error.message)
                break
        await talking
    return np.array(delays), np.array(arrived) - np.array(given)


def told(name: str, ours_s: Any, sdk_s: Any) -> None:
    mine, theirs = (float(np.percentile(delays * 1000, 95)) for delays in (ours_s, sdk_s))
    figure = f"p95 {mine:.1f} ms, the official client {theirs:.1f}: {mine - theirs:+.1f} ms ({len(ours_s)}, {len(sdk_s)} pieces)"
    print(f"{name:48}{figure:72}(target: at most +{TARGET_MS} ms)", flush=True)


async def main(seconds: float) -> None:
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    with server() as port:
        address = f"ws://127.0.0.1:{port}/v1"
        down, up = await ours(address, seconds)
        their_down, their_up = await sdk(address, seconds)
    told("from the engine's socket to Transport.play", down, their_down)
    told("from a frame to the engine's socket", up, their_up)


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(far_side())
    else:
        asyncio.run(main(float(sys.argv[1]) if sys.argv[1:] else SECONDS))
