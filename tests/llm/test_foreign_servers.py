"""The language models against servers that others wrote, so that we and our own double cannot be wrong in the same way.

aimock (npm) and llmock (PyPI) are installed in a temporary directory. Without node or a registry they skip; in CI they fail. What is known
of them: aimock cuts text by UTF-16 units, ends Gemini's calls with a reason of its own, and closes a socket before its head where it is
to break off without latency; neither takes a body that is packed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from foreign_servers import free_port, installed, running, running_aimock
from ways import VENDORS, Vendor, calls_of, check, chunks_of, text_of, usage_of

from patter_nb.errors import PatterError, RateLimitError, ServerError, TruncatedStream
from patter_nb.llm.base import LLMChunk
from patter_nb.llm.loop import LLMLoop
from patter_nb.llm.wire.vendor import VendorLLM
from patter_nb.tools.tool import tool
from patter_nb.turn import ToolCall

pytestmark = pytest.mark.slow

LLMOCK = "llmock==0.2.2"
TEXT = "Caffè ☕, naïve 🔥 and 日本 are whole."
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "The weather in a city.", "parameters": WEATHER}}
CALLS = [{"name": "get_weather", "arguments": {"city": city}} for city in ("Rome", "Oslo ☕")]

every_vendor = pytest.mark.parametrize("vendor", VENDORS.values(), ids=VENDORS)


def model_of(vendor: Vendor, base_url: str, **options: Any) -> VendorLLM:
    packing = {"msgpack_encoding": False, "gzip_compression": False} if vendor.name == "cerebras" else {}
    llm = vendor.llm("test-key", base_url=base_url, **{"model": vendor.model, **packing, **options})
    llm.retrying = replace(llm.retrying, base_s=0.01)
    return llm


def said(words: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": words}]


# --- aimock


def fixtures() -> list[dict[str, Any]]:
    """What aimock answers to whom; what it answers once and then otherwise is counted for each vendor."""
    calls = [{"name": call["name"], "arguments": json.dumps(call["arguments"])} for call in CALLS]
    down = {"message": "Out of order.", "type": "server_error"}
    told: list[dict[str, Any]] = [
        {"match": {"userMessage": "say it"}, "response": {"content": TEXT}},
        {"match": {"userMessage": "call both", "hasToolResult": False}, "response": {"content": "Wait.", "toolCalls": calls}},
        {"match": {"userMessage": "call both", "hasToolResult": True}, "response": {"content": "Both are sunny."}},
        {
            "match": {"userMessage": "mix"},
            "response": {
                "blocks": [
                    {"type": "toolCall", **calls[0]},
                    {"type": "text", "text": "So."},
                    {"type": "toolCall", **calls[1]},
                ]
            },
        },
        {"match": {"userMessage": "be down"}, "response": {"error": down, "status": 503}},
        {"match": {"userMessage": "break off"}, "response": {"content": TEXT * 9}, "truncateAfterChunks": 4, "latency": 5},
        {"match": {"userMessage": "talk on"}, "response": {"content": TEXT * 200}, "latency": 20},
    ]
    for name in VENDORS:
        once = {"match": {"userMessage": f"flaky {name}.", "sequenceIndex": 0}, "response": {"error": down, "status": 503}}
        told += [once, {"match": {"userMessage": f"flaky {name}."}, "response": {"content": "At last."}}]
    return told


@pytest.fixture(scope="module")
def aimock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running aimock."""
    with running_aimock(tmp_path_factory.mktemp("aimock"), fixtures()) as address:
        yield address


def at_aimock(vendor: Vendor, address: str, **options: Any) -> VendorLLM:
    return model_of(vendor, address if vendor.shape != "openai" else f"{address}/v1", **options)


@every_vendor
async def test_aimock_text_is_whole_though_it_cuts_characters_in_two(aimock: str, vendor: Vendor) -> None:
    chunks = await chunks_of(at_aimock(vendor, aimock), said("say it"))
    assert text_of(chunks) == TEXT
    assert len([chunk for chunk in chunks if chunk.type == "text"]) > 2
    assert chunks[-1] == LLMChunk("done", finish_reason="stop")
    usage = usage_of(chunks)
    assert (usage.provider, usage.model) == (vendor.name, vendor.model)


@every_vendor
@pytest.mark.parametrize(("words", "text"), [("call both", "Wait."), ("mix", "So.")])
async def test_aimock_calls_are_told_apart(aimock: str, vendor: Vendor, words: str, text: str) -> None:
    chunks = await chunks_of(at_aimock(vendor, aimock), said(words), [TOOL])
    assert text_of(chunks) == text
    assert [{"name": call.name, "arguments": json.loads(call.arguments)} for call in calls_of(chunks)] == CALLS
    assert chunks[-1].finish_reason == "tool_calls"


@every_vendor
async def test_aimock_a_turn_with_tools_ends_in_words(aimock: str, vendor: Vendor) -> None:
    @tool
    async def get_weather(city: str) -> str:
        """The weather in a city."""
        return f"sunny in {city}"

    items = [item async for item in LLMLoop(at_aimock(vendor, aimock), tools=[get_weather]).run("call both")]
    assert [item.result for item in items if isinstance(item, ToolCall) and item.status == "completed"] == [
        "sunny in Rome",
        "sunny in Oslo ☕",
    ]
    assert text_of([item for item in items if isinstance(item, LLMChunk)]) == "Wait.Both are sunny."


@every_vendor
async def test_aimock_a_failure_that_passes_is_asked_again(aimock: str, vendor: Vendor) -> None:
    assert text_of(await chunks_of(at_aimock(vendor, aimock), said(f"flaky {vendor.name}."))) == "At last."


@every_vendor
async def test_aimock_a_server_that_is_down_is_told_so(aimock: str, vendor: Vendor) -> None:
    with pytest.raises(ServerError, match="Out of order") as caught:
        await chunks_of(at_aimock(vendor, aimock, max_retries=0), said("be down"))
    assert caught.value.status == 503


@every_vendor
async def test_aimock_an_answer_that_breaks_off_is_told_so(aimock: str, vendor: Vendor) -> None:
    with pytest.raises(TruncatedStream) as caught:
        await chunks_of(at_aimock(vendor, aimock, max_retries=0), said("break off"))
    assert TEXT.startswith(caught.value.partial_text[:20].rstrip("\ufffd"))


@every_vendor
async def test_aimock_an_answer_is_given_up_in_the_middle(aimock: str, vendor: Vendor) -> None:
    cancel, got = asyncio.Event(), []
    async for chunk in at_aimock(vendor, aimock).stream(said("talk on"), cancel_event=cancel):
        got.append(chunk)
        if len(text_of(got)) > 40:
            cancel.set()
    check(got)
    assert got[-1] == LLMChunk("done", finish_reason="cancelled")
    assert (TEXT * 200).startswith(text_of(got))


# --- llmock


@dataclass(frozen=True)
class LLMock:
    """A running llmock."""

    address: str

    def script(self, *behaviors: Mapping[str, Any]) -> None:
        """Forget what was, and do this next."""
        self.post("reset", {})
        self.post("scenario", {"behaviors": behaviors})

    def post(self, name: str, body: Any) -> None:
        data, headers = json.dumps(body).encode(), {"content-type": "application/json"}
        urllib.request.urlopen(urllib.request.Request(f"{self.address}/_llmock/{name}", data, headers), timeout=10).close()

    def get(self, name: str) -> Any:
        with urllib.request.urlopen(f"{self.address}/_llmock/{name}", timeout=10) as response:
            return json.load(response)

    def to(self, vendor: Vendor, **options: Any) -> VendorLLM:
        path = {"groq": "/groq/openai/v1", "anthropic": "/anthropic", "google": "/gemini"}.get(vendor.name, "/v1")
        return model_of(vendor, self.address + path, **options)


@pytest.fixture(scope="module")
def llmock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LLMock]:
    """Apart from our own packages: it would bring a pytest plugin."""
    folder, port = tmp_path_factory.mktemp("llmock"), free_port()
    packages = folder / "packages"
    installed(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(packages), LLMOCK)
    options = ["serve", "--host", "127.0.0.1", "--port", str(port), "--response-style", "static", "--tool-mode", "off"]
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    with running([sys.executable, "-m", "llmock.cli", *options], folder, port, environment):
        yield LLMock(f"http://127.0.0.1:{port}")


def reply(text: str | None = None, calls: Sequence[Any] = (), **more: Any) -> dict[str, Any]:
    return {"type": "reply", "text": text, "tool_calls": list(calls), **more}


@every_vendor
async def test_llmock_text_is_whole(llmock: LLMock, vendor: Vendor) -> None:
    llmock.script(reply(TEXT))
    chunks = await chunks_of(llmock.to(vendor))
    assert (text_of(chunks), chunks[-1].finish_reason) == (TEXT, "stop")
    assert usage_of(chunks).estimated is None


@every_vendor
async def test_llmock_calls_are_told_apart(llmock: LLMock, vendor: Vendor) -> None:
    llmock.script(reply("Wait.", CALLS))
    chunks = await chunks_of(llmock.to(vendor), tools=[TOOL])
    assert text_of(chunks) == "Wait."
    assert [{"name": call.name, "arguments": json.loads(call.arguments)} for call in calls_of(chunks)] == CALLS
    assert chunks[-1].finish_reason == "tool_calls"


@every_vendor
async def test_llmock_finds_nothing_wrong_with_how_it_is_asked_again(llmock: LLMock, vendor: Vendor) -> None:
    llmock.script({"type": "fail", "status": 429, "retry_after": 1, "times": vendor.retries}, reply("At last."))
    llm = llmock.to(vendor)
    assert text_of(await chunks_of(llm)) == "At last."
    assert [finding for finding in llmock.get("verdict")["findings"] if finding["severity"] == "error"] == []


@every_vendor
async def test_llmock_a_limit_that_stays_is_told_so(llmock: LLMock, vendor: Vendor) -> None:
    llmock.script({"type": "fail", "status": 429, "retry_after": 60, "times": 9})
    with pytest.raises(RateLimitError) as caught:
        await chunks_of(llmock.to(vendor))
    assert caught.value.retry_after_s == 60


@every_vendor
@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_llmock_what_will_not_go_better_is_not_asked_again(llmock: LLMock, vendor: Vendor, status: int) -> None:
    llmock.script({"type": "fail", "status": status, "times": 9})
    with pytest.raises(PatterError) as caught:
        await chunks_of(llmock.to(vendor))
    assert caught.value.status == status
    assert len(llmock.get("requests")["requests"]) == 1


@every_vendor
@pytest.mark.parametrize("kind", ["disconnect", "truncate"])
async def test_llmock_an_answer_that_breaks_off_is_told_so(llmock: LLMock, vendor: Vendor, kind: str) -> None:
    llmock.script(reply(TEXT * 20), {"type": "stream_fault", "kind": kind, "after_chunks": 5})
    with pytest.raises(TruncatedStream) as caught:
        await chunks_of(llmock.to(vendor, max_retries=0))
    assert (TEXT * 20).startswith(caught.value.partial_text)


@every_vendor
async def test_llmock_an_event_that_is_no_json_is_told_so(llmock: LLMock, vendor: Vendor) -> None:
    llmock.script(reply(TEXT * 20), {"type": "stream_fault", "kind": "malformed", "after_chunks": 5})
    with pytest.raises(PatterError):
        await chunks_of(llmock.to(vendor, max_retries=0))


@every_vendor
async def test_llmock_a_stall_is_told_so(llmock: LLMock, vendor: Vendor) -> None:
    llmock.script(reply(TEXT * 20), {"type": "stream_fault", "kind": "stall", "after_chunks": 5, "stall_seconds": 20})
    with pytest.raises(TruncatedStream):
        await chunks_of(llmock.to(vendor, timeout_s=0.5, max_retries=0))


@every_vendor
async def test_llmock_a_call_with_broken_arguments_is_no_crash(llmock: LLMock, vendor: Vendor) -> None:
    """Gemini's arguments are an object, which cannot be broken in this way."""
    llmock.script(reply(None, CALLS[:1]), {"type": "tool_fault", "kind": "malformed_arguments"})
    chunks = await chunks_of(llmock.to(vendor), tools=[TOOL])
    assert [call.name for call in calls_of(chunks)] == ["get_weather"]


@every_vendor
async def test_llmock_an_answer_is_given_up_before_its_first_byte(llmock: LLMock, vendor: Vendor) -> None:
    llmock.script({"type": "delay", "seconds": 20}, reply(TEXT))
    cancel = asyncio.Event()
    asyncio.get_running_loop().call_later(0.2, cancel.set)
    assert await chunks_of(llmock.to(vendor), cancel_event=cancel) == [LLMChunk("done", finish_reason="cancelled")]
