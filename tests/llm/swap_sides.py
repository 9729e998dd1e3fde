"""Who answers in a conversation that changes hands: each vendor's language model, and each engine, over the double of its wire.

A side writes its own words, each of them once: `words_of` finds them wherever they turn up. What it says next is not in a list but asked
of a `Script` when the request comes, so that a test's person can have a tool called, or a fault, at any time.
"""

from __future__ import annotations

import asyncio
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from swap_room import LoudIsVoice
from ways import FIVE, KEY, Vendor

from patter_nb.engines.base import Engine
from patter_nb.engines.elevenlabs import ElevenLabsConvAI
from patter_nb.engines.google import GeminiLive
from patter_nb.engines.openai import OpenAIRealtime
from patter_nb.testing import Call, Hold, ScriptedSTT, ScriptedTTS, WireServer
from patter_nb.testing.wire.convai import ConvAIServer
from patter_nb.testing.wire.engine_server import RATE, Spoken, Utterance
from patter_nb.testing.wire.gemini_live import GeminiLiveServer
from patter_nb.testing.wire.realtime import RealtimeServer
from patter_nb.testing.wire.script import Cut, HttpError

WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot")
_WORD = re.compile(rf"([a-z_]+)-(\d+)-(?:{'|'.join(WORDS)})")


def words_of(text: str, side: str | None = None) -> list[str]:
    """The words in `text` that sides said, or that one side did, in order."""
    return [found[0] for found in _WORD.finditer(text) if side in (None, found[1])]


class Script:
    """What the sides say: words, in sentences; a call where one was wished for; a fault where one was."""

    def __init__(self) -> None:
        self.wished: list[str] = []
        """What the next answers are: "call", "calls", "refused", "cut"; words when there is nothing left."""
        self.holds: list[asyncio.Event] = []
        self.is_free = False
        """Nothing holds any more, and nothing is wished for."""
        self._answers = 0
        self._keys = 0

    def next_wish(self) -> str:
        return self.wished.pop(0) if self.wished and not self.is_free else "words"

    def sentences(self, side: str, count: int = 2) -> list[str]:
        """So many sentences of words that nobody has said before."""
        said = []
        for _ in range(count):
            self._answers += 1
            said.append(f"{' '.join(f'{side}-{self._answers}-{word}' for word in WORDS)}. ")
        return said

    def call(self) -> Call:
        """A call that nobody has made before."""
        self._keys += 1
        return Call("look_up", {"key": f"key-{self._keys}"})

    def hold(self) -> Hold:
        """A place where the answer waits until it is let go."""
        held = asyncio.Event()
        if self.is_free:
            held.set()
        self.holds.append(held)
        return Hold(held)

    @property
    def is_slow(self) -> bool:
        """Whether an engine's next answer comes bit by bit."""
        return not self.is_free and self._answers % 4 == 0

    def let_go(self) -> None:
        """Let the oldest answer that waits go on."""
        waiting = next((held for held in self.holds if not held.is_set()), None)
        if waiting is not None:
            waiting.set()

    def free(self) -> None:
        """Let everything go on from now on."""
        self.is_free = True
        for held in self.holds:
            held.set()


class Side(ABC):
    """One that answers. `name` is in its words."""

    name: str
    identity: tuple[str, str]
    """Its stage and its provider, as events name them."""

    def __init__(self, script: Script) -> None:
        self.script = script

    @abstractmethod
    async def __aenter__(self) -> Side: ...

    @abstractmethod
    async def __aexit__(self, *raised: Any) -> None: ...

    @abstractmethod
    def parts(self) -> dict[str, Any]:
        """The parts of an agent that have this side answer, whoever answered before."""

    @abstractmethod
    def told(self) -> str:
        """All that was told to it, as text."""

    @abstractmethod
    def knows(self, result: str) -> bool:
        """Whether the newest request told it of a tool's result, or it was told before and remembers; not twice."""

    @abstractmethod
    def faults(self) -> list[str]:
        """What its vendor would have rejected, that its double did not."""

    async def fail(self) -> None:
        """Something of it fails, now or with the next request."""
        self.script.wished.insert(0, ("refused", "cut")[len(self.script.holds) % 2])
        await asyncio.sleep(0)

    def expects_speech(self, text: str) -> None:  # noqa: B027  # only an engine's double has to be told
        """The person is about to speak."""


class Mind(Side):
    """A vendor's language model, with ears and a voice beside it."""

    def __init__(self, vendor: Vendor, script: Script) -> None:
        super().__init__(script)
        self.name, self.identity = vendor.name, ("llm", vendor.name)
        self._vendor = vendor
        self._server = WireServer([self._reply] * 200)
        self.voice = ScriptedTTS(ms_per_char=10)

    async def __aenter__(self) -> Mind:
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *raised: Any) -> None:
        await self._server.__aexit__(AssertionError, AssertionError(), None)  # replies are left; what was not sent is looked at here
        for connection in self._server.connections:
            if connection.failure is not None:
                raise connection.failure

    def parts(self) -> dict[str, Any]:
        llm = self._vendor.llm(KEY, base_url=self._vendor.base_url(self._server), model=self._vendor.model, max_retries=0)
        ears = ScriptedSTT([["so", f"so spoken {self.name} {number}"] for number in range(200)])
        return {"engine": None, "llm": llm, "stt": ears, "tts": self.voice, "vad": LoudIsVoice()}

    def _reply(self, _: Any) -> Any:
        match self.script.next_wish():
            case "refused":
                return HttpError(500)
            case "cut":
                return [self.script.hold(), self.script.sentences(self.name)[0], self.script.hold(), Cut()]
            case "call":
                return [self.script.hold(), self.script.sentences(self.name)[0], self.script.call()]
            case "calls":
                return [self.script.hold(), self.script.call(), self.script.call()]
        one, other = self.script.sentences(self.name)
        half = len(other) // 2
        return [self.script.hold(), one, self.script.hold(), other[:half], self.script.hold(), other[half:]]

    @property
    def _asked(self) -> list[Any]:
        return [request.body for request in self._server.requests if request.method == "POST"]

    def told(self) -> str:
        return json.dumps(self._asked)

    def knows(self, result: str) -> bool:
        return json.dumps(self._asked[-1]).count(result) == 1

    def faults(self) -> list[str]:
        found = []
        for body in self._asked:
            calls, results = _calls_and_results(body, self._vendor.shape)
            if sorted(calls) != sorted(results):
                found.append(f"{self.name} was told the calls {calls} and the results {results}")
        return found


def _calls_and_results(body: Any, shape: str) -> tuple[list[str], list[str]]:
    """The names by which a request's calls and results are matched: ids, or what is called where there are none."""
    if shape == "openai":
        calls = [call["id"] for message in body["messages"] for call in message.get("tool_calls") or ()]
        return calls, [message["tool_call_id"] for message in body["messages"] if message["role"] == "tool"]
    if shape == "anthropic":
        blocks = [block for message in body["messages"] if isinstance(message["content"], list) for block in message["content"]]
        calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        return calls, [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
    parts = [part for content in body["contents"] for part in content["parts"]]
    calls = [part["functionCall"]["name"] for part in parts if "functionCall" in part]
    return calls, [part["functionResponse"]["name"] for part in parts if "functionResponse" in part]


class EngineSide(Side):
    """An engine, and the server that speaks as its vendor does."""

    def __init__(self, name: str, provider: str, server: type[Any], engine: Callable[..., Engine], script: Script) -> None:
        super().__init__(script)
        self.name, self.identity = name, ("engine", provider)
        side = self

        class Server(server):  # type: ignore[misc]  # any of the three
            def next_reply(self) -> Any:
                return side._reply()

        self._server = Server()
        self._engine = engine

    async def __aenter__(self) -> EngineSide:
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *raised: Any) -> None:
        await self._server.__aexit__(AssertionError, AssertionError(), None)  # what it was not given the sound of is the walk's affair

    def parts(self) -> dict[str, Any]:
        return {"engine": self._engine(KEY, base_url=self._server.url)}

    def _reply(self) -> Any:
        match self.script.next_wish():
            case "calls" if self.name != "convai":  # whose calls come one by one, each for itself
                return [self.script.call(), self.script.call()]
            case "call" | "calls":
                return self.script.call()
        text = "".join(self.script.sentences(self.name)).strip()
        return Spoken(text, pcm=np.full(RATE * len(text) // 400, 500, np.int16), paced=self.script.is_slow)

    def told(self) -> str:
        return json.dumps([*getattr(self._server, "setups", ()), *self._server.received])

    def knows(self, result: str) -> bool:
        return result in self.told()

    def faults(self) -> list[str]:
        """Results of calls that the conversation knows nothing of."""
        made = [call for message in self._server.sent for call in _made_by(message)]
        told = [*_told(self._server.received)]
        return [f"{self.name} was told the result of {call}, which it never made" for call in told if call not in made]

    async def fail(self) -> None:
        self._server._hears.clear()
        await self._server.drop()

    def expects_speech(self, text: str) -> None:
        for conversation in self._server.conversations.values():
            now_ms = conversation._bytes / (RATE * 2 / 1000) if isinstance(self._server, RealtimeServer) else conversation._ms
            self._server._hears.append(Utterance(now_ms + 100, now_ms + 600, text, late=False))


def _made_by(message: Any) -> list[str]:
    """The ids of the calls that a server's message makes."""
    match message:
        case {"type": "response.output_item.done", "item": {"type": "function_call", "call_id": id}}:
            return [id]
        case {"client_tool_call": {"tool_call_id": id}}:
            return [id]
        case {"toolCall": {"functionCalls": calls}}:
            return [call["id"] for call in calls]
    return []


def _told(messages: Sequence[Any]) -> Iterator[str]:
    """The ids of the calls whose results a client tells, but of those that it tells together with the call."""
    known: set[str] = set()
    for message in messages:
        match message:
            case {"item": {"type": "function_call", "call_id": id}}:
                known.add(id)
            case {"item": {"type": "function_call_output", "call_id": id}} if id not in known:
                yield id
            case {"type": "client_tool_result", "tool_call_id": id}:
                yield id
            case {"toolResponse": {"functionResponses": responses}}:
                yield from (response["id"] for response in responses)


class _QuickConvAI(ElevenLabsConvAI):
    idle_s = 0.3


def _convai(key: str, **fields: Any) -> Engine:
    return _QuickConvAI(key, agent_id="agent-1", **fields)


SIDES: dict[str, Callable[[Script], Side]] = {
    **{vendor.name: (lambda script, vendor=vendor: Mind(vendor, script)) for vendor in FIVE},  # type: ignore[misc]  # a default binds it
    "realtime": lambda script: EngineSide("realtime", "openai", RealtimeServer, OpenAIRealtime, script),
    "convai": lambda script: EngineSide("convai", "elevenlabs", ConvAIServer, _convai, script),
    "gemini_live": lambda script: EngineSide("gemini_live", "google", GeminiLiveServer, GeminiLive, script),
}
