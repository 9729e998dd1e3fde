"""What the benches of the console put into the notebook's kernel: a voice that can be measured, and a look at what arrives from the page.

A notebook's first cell puts this folder on the path; what is measured is read by the bench as plain lists.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import numpy as np

from patter_nb.audio.frames import AudioFormat, Pcm
from patter_nb.session import Session

RATE: Final = 24_000
BLOCK: Final = RATE // 10
PIECE: Final = "So it goes on and on and on. "
_WORKLET_MARKS: Final = (('post({ kind: "frames", session', 'post({ kind: "frames", mark: [Date.now(), currentFrame], session'),)
_PAGE_MARKS: Final = (
    ("const { opening, seq, captureMs, at, echo, pcm } = message", "const { opening, seq, captureMs, at, mark, echo, pcm } = message"),
    ("onFrames?.({ opening, seq, t: captureMs[0]", "onFrames?.({ opening, seq, t: mark"),
)


def noise(samples: int, *, start: int = 0, seed: int = 11) -> Pcm:
    """White noise of -24 dBFS, of which every stretch is like no other; the same whenever it is asked for."""
    return np.random.default_rng(seed).integers(-3500, 3500, start + samples).astype(np.int16)[start:]


class NoiseTTS:
    """Speaks `noise` for so many seconds, divided among the characters of an answer of `text`; `lead_s` ahead of time, or all at once."""

    provider = "noise"
    model = None

    def __init__(self, seconds: float, *, lead_s: float | None = None) -> None:
        self.format = AudioFormat(RATE)
        self._sound = noise(round(seconds * RATE))
        self._lead_s = lead_s
        self._given = 0
        self._began: float | None = None
        self.text = PIECE * max(1, round(seconds / 2))

    async def synthesize(self, text: str | AsyncIterator[str]) -> AsyncIterator[Pcm]:
        words = text if isinstance(text, str) else "".join([part async for part in text])
        stop = min(len(self._sound), self._given + round(len(self._sound) * len(words.strip()) / len(self.text.strip())) + RATE // 20)
        self._began = time.monotonic() if self._began is None else self._began
        while self._given < stop:
            if self._lead_s is not None:
                await asyncio.sleep(max(0.0, self._began + self._given / RATE - self._lead_s - time.monotonic()))
            block = self._sound[self._given : min(stop, self._given + BLOCK)]
            self._given += len(block)
            yield block
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        """Nothing is held."""


class Arrivals:
    """When each message with frames was handled, and what the page said of it."""

    def __init__(self, session: Session) -> None:
        from patter_nb.console.face import face_of

        self.rows: list[tuple[float, float, int, int, int]] = []
        """(handled, last frame complete, both in ms since the epoch; the context's frame then; number of the first frame; frames)."""
        face_of(session).ears.on_msg(self._take)

    def _take(self, widget: object, content: Mapping[str, Any], buffers: object) -> None:
        if content["kind"] == "frames":
            complete_ms, context_frame = content["t"]
            self.rows.append((time.time() * 1000, complete_ms, context_frame, content["seq"], content["count"]))


def mark_frames() -> None:
    """Have the page's audio thread say when the last frame of a message was complete, in the place of its capture time.

    To be called before the console is shown. Raises `RuntimeError` where the page's modules no longer say it in these words.
    """
    from patter_nb.console import modules, widgets

    worklet = _replaced(modules.worklet_source(), *_WORKLET_MARKS)
    modules.worklet_source = lambda: worklet  # type: ignore[assignment]  # where page_module looks
    page = _replaced(modules.page_module(), *_PAGE_MARKS)
    widgets.page_module = lambda: page  # type: ignore[attr-defined, assignment]  # it is imported there


def _replaced(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        if text.count(old) != 1:
            raise RuntimeError(f"the page's modules say {old!r} {text.count(old)} times, not once")
        text = text.replace(old, new)
    return text


class LoopLag:
    """How much later than asked the kernel's loop comes back, in ms, asked every 5 ms."""

    def __init__(self) -> None:
        self.lags_ms: list[float] = []
        self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.005)
            self.lags_ms.append(1000 * (time.perf_counter() - began) - 5)

    def stop(self) -> list[float]:
        """No more; what there was."""
        self._task.cancel()
        return self.lags_ms
