"""What changing hands in the middle of an answer adds to the new model's own first token: python bench/swap.py [PAIRS]

A server in a process of its own speaks as the five vendors do. In each pair one request is made by our class alone, with the same
messages and tools: from `stream` to its first text. The other is a session in whose answer `session.use(llm=..., when="now")` puts that
model: from the call to the first text of the new one in the log. Which of the two comes first alternates.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from patter_nb import AnthropicLLM, CerebrasLLM, GoogleLLM, GroqLLM, OpenAILLM, Patter
from patter_nb.events import Event, LLMChunked
from patter_nb.llm.base import LLMProvider, Message
from patter_nb.testing import ScriptedTTS, WireServer
from patter_nb.testing.wire.http import WireRequest
from patter_nb.testing.wire.script import Answer, Stall
from patter_nb.tools.tool import tool
from patter_nb.transports.keyboard import KeyboardTransport

PAIRS = 100
TARGET_MS = 20
KEY = "test-key"
BEFORE = "gpt-4o"
"""The model that is taken over from: it begins, and never ends."""
PROMPT, QUESTION = "Be brief.", "How is the weather in Rome, and what should I wear?"


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"Sunny in {city}."


MESSAGES: list[Message] = [{"role": "system", "content": PROMPT}, {"role": "user", "content": QUESTION}]


# --- the far side


def answer(request: WireRequest) -> Answer:
    return ["The old one says", " this", Stall()] if request.body.get("model") == BEFORE else ["The new one ", "says that."]


async def serve() -> None:
    async with WireServer([answer] * 1_000_000) as server:
        print(server.openai_url.removesuffix("/v1"), flush=True)
        await asyncio.get_running_loop().create_future()


@contextmanager
def far_side() -> Iterator[str]:
    """The address of a server, until the end of the block."""
    process = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


# --- the two


def is_text(event: Event) -> bool:
    return isinstance(event.body, LLMChunked) and event.body.chunk.type == "text"


async def alone(llm: LLMProvider) -> float:
    """Seconds to the model's own first text."""
    began, first = time.perf_counter(), 0.0
    async for chunk in llm.stream(MESSAGES, [get_weather.spec()]):
        if not first and getattr(chunk, "type", "") == "text":
            first = time.perf_counter() - began
    return first


async def taking_over(before: LLMProvider, after: LLMProvider) -> float:
    """Seconds from `use(when="now")` to the first text of the new model in the log."""
    loop = asyncio.get_running_loop()
    agent = Patter().agent(PROMPT, llm=before, tts=ScriptedTTS(ms_per_char=1), tools=[get_weather])
    async with Patter().serve(agent, transport=KeyboardTransport(), name="swap") as session:
        speaks: asyncio.Future[float] = loop.create_future()
        asking = asyncio.ensure_future(session.ask(QUESTION))
        began: asyncio.Future[float] = loop.create_future()

        def look(event: Event) -> None:
            waited = began if not began.done() else speaks
            if is_text(event) and not waited.done() and (waited is began or event.seq > fence):
                waited.set_result(time.perf_counter())

        fence = sys.maxsize
        session.events.subscribe(look)
        await began
        await asyncio.sleep(0.005)  # its second piece is there
        fence, called = len(session.events), time.perf_counter()
        session.use(llm=after, when="now")
        first = await speaks - called
        turn = await asking
        assert turn.agent_text == "The new one says that.", turn.agent_text
    return first


VENDORS: dict[str, Callable[[str], LLMProvider]] = {
    "openai": lambda url: OpenAILLM(KEY, model="gpt-4o-mini", base_url=f"{url}/v1"),
    "anthropic": lambda url: AnthropicLLM(KEY, model="claude-haiku-4-5-20251001", base_url=url),
    "groq": lambda url: GroqLLM(KEY, model="llama-3.3-70b-versatile", base_url=f"{url}/openai/v1"),
    "cerebras": lambda url: CerebrasLLM(KEY, model="gpt-oss-120b", base_url=f"{url}/cerebras/v1"),
    "google": lambda url: GoogleLLM(KEY, model="gemini-2.5-flash", base_url=url),
}


def told(name: str, own_s: Any, taken_s: Any) -> None:
    own, taken = np.array(own_s) * 1000, np.array(taken_s) * 1000
    added = taken - own
    figures = f"alone {np.median(own):5.1f} ms, taking over {np.median(taken):5.1f}"
    adds = f"adds {np.median(added):+.1f} ms (median), {np.percentile(added, 95):+.1f} (p95 of {len(added)} pairs)"
    print(f"{name:10} {figures}: {adds}; target: at most +{TARGET_MS}", flush=True)


async def main(pairs: int) -> None:
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    with far_side() as url:
        before = OpenAILLM(KEY, model=BEFORE, base_url=f"{url}/v1")
        for name, make in VENDORS.items():
            own: list[float] = []
            taken: list[float] = []
            for number in range(pairs + 3):
                after = make(url)  # as one is made in a cell
                order = (0, 1) if number % 2 else (1, 0)
                for which in order:
                    if which:
                        taken.append(await taking_over(before, after))
                    else:
                        own.append(await alone(after))
            told(name, own[3:], taken[3:])  # connections are open by then


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
    else:
        asyncio.run(main(int(sys.argv[1]) if sys.argv[1:] else PAIRS))
