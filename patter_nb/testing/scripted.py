"""Doubles that do as they are told, and complain about what they were not told: for tests of an agent, not of a vendor."""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from patter_nb.audio.frames import AudioFormat, Frame, Pcm
from patter_nb.llm.base import AnyChunk, LLMChunk, Message, ToolSpec, as_chunk
from patter_nb.stt.base import Transcript


@dataclass(frozen=True, slots=True)
class Call:
    """An answer that calls a tool: `Call("get_weather", {"city": "Rome"})`. Text is sent as it is, to be malformed at will."""

    name: str
    arguments: dict[str, Any] | str = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hold:
    """A place in a stream where the model waits for `event`, so that a test can act in the middle of an answer."""

    event: asyncio.Event


Step: TypeAlias = AnyChunk | Call | Hold | Exception
Reply: TypeAlias = str | Call | Exception | Sequence[Step]


@dataclass(frozen=True, slots=True)
class Request:
    """One request as the model received it."""

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...]

    @property
    def user_text(self) -> str:
        """The newest thing the person said."""
        return next((str(message["content"]) for message in reversed(self.messages) if message["role"] == "user"), "")


class Scripted:
    """What has a script: `verify()`, or leaving the `with` block, raises `AssertionError` unless that was asked for and nothing else."""

    def verify(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self.verify()


class ScriptedLLM(Scripted):
    """A language model that answers request by request from a list.

    A reply is text (streamed word by word), a `Call`, an exception to raise, or a list of chunks, texts, calls, holds and
    exceptions. A function in the list is asked for its reply with the `Request`. A request after the last reply fails the
    turn; `verify()`, or leaving the `with` block, raises `AssertionError` for that and for replies that nobody asked for.

    >>> llm = ScriptedLLM([Call("get_weather", {"city": "Rome"}), "It is sunny in Rome."])
    """

    provider = "scripted"
    model = "script"
    costs = False

    def __init__(self, replies: Iterable[Reply | Callable[[Request], Reply]]) -> None:
        self._replies = deque(replies)
        self._unexpected: list[str] = []
        self.requests: list[Request] = []

    async def stream(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] | None = None,
        *,
        cancel_event: asyncio.Event | None = None,
        call_id: str | None = None,
    ) -> AsyncIterator[LLMChunk]:
        request = Request(tuple(messages), tuple(tools or ()))
        self.requests.append(request)
        if not self._replies:
            self._unexpected.append(request.user_text)
            raise AssertionError(
                f"ScriptedLLM was asked {len(self.requests)} times, once more than scripted; the person had said {request.user_text!r}."
            )
        reply = self._replies.popleft()
        if callable(reply):
            reply = reply(request)
        calls = 0
        for step in _steps(reply):
            if isinstance(step, Exception):
                raise step
            if isinstance(step, Hold):
                await _until(step.event, cancel_event)
                continue
            if cancel_event is not None and cancel_event.is_set():
                yield LLMChunk("done", finish_reason="cancelled")
                return
            chunk = self._call(step, calls) if isinstance(step, Call) else as_chunk(step)
            calls += chunk.type == "tool_call"
            yield chunk
            if chunk.type == "done":
                return
            await asyncio.sleep(0)  # a model's chunks never come all at once; whoever else is ready runs in between
        cancelled = cancel_event is not None and cancel_event.is_set()
        yield LLMChunk("done", finish_reason="cancelled" if cancelled else "tool_calls" if calls else "stop")

    def _call(self, call: Call, index: int) -> LLMChunk:
        arguments = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments)
        return LLMChunk("tool_call", index=index, id=f"script_{len(self.requests)}_{index}", name=call.name, arguments=arguments)

    def verify(self) -> None:
        """Raise `AssertionError` unless every reply was asked for, and nothing else."""
        if self._unexpected:
            raise AssertionError(f"ScriptedLLM was asked more often than scripted, after: {', '.join(map(repr, self._unexpected))}.")
        if self._replies:
            raise AssertionError(f"ScriptedLLM has {len(self._replies)} replies that nobody asked for; the next is {self._replies[0]!r}.")

    def __repr__(self) -> str:
        return f"ScriptedLLM({len(self._replies)} replies left)"


def _steps(reply: object) -> list[Any]:
    if isinstance(reply, str):
        return re.findall(r"\s*\S+\s*?(?=\s|$)|\s+", reply)
    if isinstance(reply, (Call, Exception, LLMChunk, Hold, dict)):
        return [reply]
    return [part for step in reply for part in (_steps(step) if isinstance(step, str) else [step])]  # type: ignore[attr-defined]  # a list of steps


async def _until(event: asyncio.Event, cancel_event: asyncio.Event | None) -> None:
    waits = [asyncio.ensure_future(one.wait()) for one in (event, cancel_event) if one is not None]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


class ScriptedSTT(Scripted):
    """Speech-to-text that hears what the script says, one entry for each `finalize`.

    An entry is the final text, or a list whose last item is final and whose others are partials; those come one for every
    300 ms of sound. An exception is raised instead. A `finalize` without an entry raises `AssertionError`, as does `verify()`, or
    leaving the `with` block, after that, and when entries are left.
    """

    provider = "scripted"
    model = "script"
    costs = False

    def __init__(self, heard: Iterable[str | Exception | Sequence[str]]) -> None:
        self._entries = deque(heard)
        self._out: asyncio.Queue[Transcript | Exception] = asyncio.Queue()
        self._frames = 0
        self._partials = 0
        self._unexpected = 0
        self.pushed = 0

    async def open(self, format: AudioFormat) -> None:
        self._frames = self._partials = 0

    async def push(self, frame: Frame) -> None:
        self.pushed += 1
        self._frames += 1
        partials = self._partial_texts()
        if self._frames % 15 == 0 and self._partials < len(partials):
            self._out.put_nowait(Transcript(partials[self._partials], is_final=False))
            self._partials += 1

    def _partial_texts(self) -> Sequence[str]:
        entry = self._entries[0] if self._entries else ""
        return () if isinstance(entry, (str, Exception)) else entry[:-1]

    async def finalize(self) -> None:
        if not self._entries:
            self._unexpected += 1
            raise AssertionError("ScriptedSTT was asked for words more often than scripted.")
        entry = self._entries.popleft()
        self._frames = self._partials = 0
        final = entry if isinstance(entry, (str, Exception)) else entry[-1]
        self._out.put_nowait(final if isinstance(final, Exception) else Transcript(final, is_final=True))

    async def transcripts(self) -> AsyncIterator[Transcript]:
        while True:
            item = await self._out.get()
            if isinstance(item, Exception):
                raise item
            yield item

    async def aclose(self) -> None:
        """Nothing is held."""

    def verify(self) -> None:
        """Raise `AssertionError` unless every entry was asked for, and nothing else."""
        if self._unexpected:
            raise AssertionError(f"ScriptedSTT was asked for words {self._unexpected} times more often than scripted.")
        if self._entries:
            raise AssertionError(f"ScriptedSTT has {len(self._entries)} entries that nobody asked for.")


class ScriptedTTS(Scripted):
    """Text-to-speech that hums: 60 ms of a quiet tone a character, in blocks of 100 ms. `said` lists what it spoke.

    With a `script` it is to be given these pieces of text and no others, in order, as the pipeline cuts an answer; an exception there is
    raised in place of the piece. `verify()`, or leaving the `with` block, raises `AssertionError` for another piece, and for those that
    never came. Without one it speaks whatever comes. An exception for a text in `failing` is raised when that text is to be spoken.

    >>> tts = ScriptedTTS(["It is sunny in Rome.", "Bye."])
    """

    provider = "scripted"
    model = "script"
    costs = False

    def __init__(
        self,
        script: Iterable[str | Exception] | None = None,
        *,
        sample_rate: int = 16_000,
        ms_per_char: float = 60.0,
        failing: dict[str, Exception] | None = None,
    ) -> None:
        self.format = AudioFormat(sample_rate)
        self.said: list[str] = []
        self._script = None if script is None else deque(script)
        self._unexpected: list[str] = []
        self._ms_per_char = ms_per_char
        self._failing = failing or {}

    async def synthesize(self, text: str | AsyncIterator[str]) -> AsyncIterator[Pcm]:
        whole = text if isinstance(text, str) else "".join([part async for part in text])
        self._require_scripted(whole)
        if whole in self._failing:
            raise self._failing[whole]
        self.said.append(whole)
        rate = self.format.sample_rate
        hum = (2000 * np.sin(np.arange(int(len(whole) * self._ms_per_char * rate / 1000)) * (2 * np.pi * 220 / rate))).astype(np.int16)
        for start in range(0, len(hum), rate // 10):
            yield hum[start : start + rate // 10]
            await asyncio.sleep(0)  # blocks never come all at once; a cancellation lands in between

    def _require_scripted(self, text: str) -> None:
        if self._script is None:
            return
        wanted = self._script.popleft() if self._script else None
        if isinstance(wanted, Exception):
            raise wanted
        if wanted is None or wanted.strip() != text.strip():
            told = "nothing more" if wanted is None else repr(wanted)
            self._unexpected.append(f"{text!r} in place of {told}")
            raise AssertionError(f"ScriptedTTS was given {self._unexpected[-1]}.")

    async def aclose(self) -> None:
        """Nothing is held."""

    def verify(self) -> None:
        """Raise `AssertionError` unless each piece of the script came, and nothing else. Without a script all is well."""
        if self._unexpected:
            raise AssertionError(f"ScriptedTTS was given {', '.join(self._unexpected)}.")
        if self._script:
            raise AssertionError(f"ScriptedTTS has {len(self._script)} pieces that nobody gave it; the next is {self._script[0]!r}.")


class RecordedVAD:
    """A voice detector that answers from a recording: one probability a frame, 0.0 after the last."""

    provider = "recorded"
    model = None

    def __init__(self, probabilities: npt.ArrayLike) -> None:
        self._probabilities = np.asarray(probabilities, float)

    @classmethod
    def speaking(cls, *spans_ms: tuple[float, float], probability: float = 0.95) -> RecordedVAD:
        """Voice in these spans of milliseconds, silence elsewhere."""
        frames = np.zeros(int(max((stop for _, stop in spans_ms), default=0) // 20) + 1)
        for start, stop in spans_ms:
            frames[int(start // 20) : int(stop // 20)] = probability
        return cls(frames)

    def probability(self, frame: Frame) -> float:
        return float(self._probabilities[frame.seq]) if frame.seq < len(self._probabilities) else 0.0

    def reset(self) -> None:
        """Nothing is remembered."""
