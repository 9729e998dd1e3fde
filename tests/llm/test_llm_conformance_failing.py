"""What every language model does when it goes wrong: refused, limited, broken off, and asked again or not."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from ways import TOOL, USER, VENDORS, WAYS, Vendor, Way, chunks_of, every_way, text_of, ways

from patter_nb.errors import (
    AuthenticationError,
    BadRequest,
    ConnectionFailed,
    ContextTooLong,
    ModelNotFound,
    PatterError,
    QuotaExceeded,
    RateLimitError,
    RequestTimeout,
    ServerError,
    TruncatedStream,
)
from patter_nb.llm.base import LLMChunk
from patter_nb.llm.wire.vendor import VendorLLM
from patter_nb.testing import Call, WireServer
from patter_nb.testing.wire import CallFragment, Cut, Finish, HttpError, KeepAlive, Reply, Stall, StreamError, Usage
from patter_nb.wire.retrying import Retrying

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")  # google-genai's own

WIRES = [name for name in WAYS if name.endswith("wire")]
every_wire = ways(but=[name for name in WAYS if name not in WIRES])

# --- refused


REFUSALS: dict[str, tuple[HttpError, type[PatterError]]] = {
    "bad request": (HttpError(400, "That is not right."), BadRequest),
    "forbidden": (HttpError(403, "Not for you."), AuthenticationError),
    "not found": (HttpError(404, "No such thing."), ModelNotFound),
    "rate limit": (HttpError(429, "Slow down."), RateLimitError),
    "server": (HttpError(500, "Oh."), ServerError),
    "unavailable": (HttpError(503, "Not now."), ServerError),
    "overloaded": (HttpError(529, "Too much."), ServerError),
    "timeout": (HttpError(504, "Too slow."), RequestTimeout),
    "a gateway's page": (HttpError(502, body=b"<html><h1>Bad gateway</h1></html>", headers={"content-type": "text/html"}), ServerError),
    "nothing": (HttpError(500, body=b""), ServerError),
}


@every_way
@pytest.mark.parametrize("case", REFUSALS)
async def test_a_refusal_is_an_error_of_ours_with_the_vendors_words(way: Way, case: str) -> None:
    answer, expected = REFUSALS[case]
    async with WireServer([answer]) as server, way.to(server, max_retries=0) as llm:
        with pytest.raises(PatterError) as caught:
            await chunks_of(llm)
    error = caught.value
    assert type(error) is expected
    assert (error.provider, error.model, error.status) == (way.vendor.name, way.vendor.model, answer.status)
    assert error.hint
    if answer.body is None:
        assert answer.message in error.message


CONTEXTS = {
    "openai": HttpError(400, "This model's maximum context length is 128000 tokens.", code="context_length_exceeded"),
    "anthropic": HttpError(400, "prompt is too long: 200001 tokens > 200000 maximum"),
    "google": HttpError(400, "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576)."),
}
CREDITS = {
    "openai": HttpError(429, "You exceeded your current quota, please check your plan and billing details.", code="insufficient_quota"),
    "anthropic": HttpError(400, "Your credit balance is too low to access the Anthropic API."),
    "google": HttpError(402, "No credit."),
}


@every_way
async def test_a_conversation_that_is_too_long_is_told_so(way: Way) -> None:
    async with WireServer([CONTEXTS[way.shape]]) as server, way.to(server) as llm:
        with pytest.raises(ContextTooLong):
            await chunks_of(llm)


@every_way
async def test_an_account_without_credit_is_told_so_and_not_asked_again(way: Way) -> None:
    async with WireServer([CREDITS[way.shape]]) as server, way.to(server) as llm:
        with pytest.raises(QuotaExceeded):
            await chunks_of(llm)


@every_way
async def test_a_wrong_key_is_told_so_and_named_where_it_comes_from(way: Way) -> None:
    async with WireServer(key="another") as server, way.to(server) as llm:
        with pytest.raises(AuthenticationError) as caught:
            await chunks_of(llm)
    assert len(server.requests) == 1
    assert "test-key" not in str(caught.value)
    assert "api_key=" in str(caught.value.hint)
    assert all(name in str(caught.value.hint) for name in type(llm).key_names)


@every_way
async def test_a_model_that_is_not_there_is_told_so_with_others(way: Way) -> None:
    async with WireServer() as server, way.to(server, model="nobody") as llm:
        with pytest.raises(ModelNotFound) as caught:
            await chunks_of(llm)
    assert len(server.requests) == 1
    assert "nobody" in caught.value.message
    assert all(name in str(caught.value.hint) for name in type(llm).models)


@ways(shape="anthropic")
async def test_the_request_is_named_for_who_asks_the_vendor(way: Way) -> None:
    async with WireServer([HttpError(400, "No.")]) as server, way.to(server) as llm:
        with pytest.raises(BadRequest) as caught:
            await chunks_of(llm)
    assert caught.value.request_id == "req_0"


# --- asked again


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were to be waited before something was asked again; nobody waits."""
    waited: list[float] = []

    async def wait(seconds: float, cancel_event: asyncio.Event | None) -> None:
        waited.append(seconds)

    monkeypatch.setattr("patter_nb.llm.wire.vendor._pause", wait)
    return waited


@pytest.mark.parametrize(
    ("way", "answer"),
    [
        pytest.param(way, answer, id=f"{way.name}-{answer!r:.30}")
        for way in WAYS.values()
        for answer in (HttpError(429), HttpError(500), HttpError(529), StreamError(529, "Overloaded"), Cut(), Cut("reset"))
        if way.name != "google-client" or not isinstance(answer, Cut)  # it asks again by itself, after up to ten seconds
    ],
)
async def test_what_may_go_well_the_next_time_is_asked_again_with_the_same_request(way: Way, answer: Any) -> None:
    async with WireServer([answer, "Hi"]) as server, way.to(server) as llm:
        chunks = await chunks_of(llm)
    assert text_of(chunks) == "Hi"
    assert len({request.raw for request in server.requests}) == 1
    assert len(server.requests) == 2


@every_way
async def test_it_is_asked_again_only_so_often(way: Way) -> None:
    async with WireServer([HttpError(500)] * (way.vendor.retries + 1)) as server, way.to(server) as llm:
        with pytest.raises(ServerError):
            await chunks_of(llm)
    assert len(server.requests) == way.vendor.retries + 1


@every_way
async def test_how_often_is_said_by_the_caller(way: Way) -> None:
    async with WireServer([HttpError(500)] * 4) as server, way.to(server, max_retries=3) as llm:
        with pytest.raises(ServerError):
            await chunks_of(llm)


@every_way
@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_what_will_not_go_better_is_not_asked_again(way: Way, status: int) -> None:
    async with WireServer([HttpError(status)]) as server, way.to(server) as llm:
        with pytest.raises(PatterError):
            await chunks_of(llm)
    assert len(server.requests) == 1


ASKED = {"retry-after": "2.5", "retry-after-ms": "2500"}


@every_way
@pytest.mark.parametrize("header", ASKED)
async def test_it_waits_as_long_as_the_vendor_asks(way: Way, header: str, waits: list[float]) -> None:
    async with WireServer([HttpError(429, headers={header: ASKED[header]}), "Hi"]) as server, way.to(server) as llm:
        await chunks_of(llm)
    assert waits == [2.5]


@every_way
async def test_where_nobody_says_how_long_it_waits_longer_each_time(way: Way, waits: list[float]) -> None:
    async with WireServer([HttpError(500)] * 3 + ["Hi"]) as server, way.to(server, max_retries=3) as llm:
        llm.retrying = Retrying(3)
        await chunks_of(llm)
    assert [0.5 * 2**n <= wait <= 0.5 * 2**n * 1.25 for n, wait in enumerate(waits)] == [True] * 3


@ways(shape="openai")
@pytest.mark.parametrize(
    "headers",
    [
        {"x-ratelimit-reset-requests": "2s500ms", "x-ratelimit-reset-tokens": "350ms"},
        {"x-ratelimit-reset-tokens-minute": "2.5", "x-ratelimit-reset-requests-minute": "0.1"},
        {"x-ratelimit-reset-requests-day": "86000", "x-ratelimit-remaining-requests-day": "9", "retry-after": "2.5"},
    ],
)
async def test_it_waits_until_a_limit_is_reset(way: Way, headers: dict[str, str], waits: list[float]) -> None:
    async with WireServer([HttpError(429, headers=headers), "Hi"]) as server, way.to(server) as llm:
        await chunks_of(llm)
    assert waits == [2.5]


@every_way
async def test_a_vendor_that_asks_for_minutes_is_not_waited_for(way: Way) -> None:
    async with WireServer([HttpError(429, headers={"retry-after": "600"})]) as server, way.to(server) as llm:
        with pytest.raises(RateLimitError) as caught:
            await chunks_of(llm)
    assert caught.value.retry_after_s == 600


async def test_googles_own_way_to_ask_for_a_wait_is_read() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37s"}]
    body = json.dumps({"error": {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED", "details": details}}).encode()
    for name in ("google-wire", "google-client"):
        async with WireServer([HttpError(429, body=body)]) as server, WAYS[name].to(server) as llm:
            with pytest.raises(RateLimitError) as caught:
                await chunks_of(llm)
        assert caught.value.retry_after_s == 37


# --- broken off


async def gathered(llm: VendorLLM, into: list[LLMChunk], **named: Any) -> None:
    async for chunk in llm.stream([USER], **named):
        into.append(chunk)


@every_way
async def test_an_error_in_the_middle_of_an_answer_is_raised_and_nothing_is_asked_again(way: Way) -> None:
    got: list[LLMChunk] = []
    async with WireServer([["Hello ", "there", StreamError(529, "Overloaded now.")]]) as server, way.to(server) as llm:
        with pytest.raises(ServerError, match="Overloaded now"):
            await gathered(llm, got)
    assert [chunk.content for chunk in got] == ["Hello ", "there"]
    assert len(server.requests) == 1


@every_way
@pytest.mark.parametrize("how", ["close", "reset", "end"])
async def test_an_answer_that_breaks_off_is_an_error_with_what_had_come(way: Way, how: Any) -> None:
    got: list[LLMChunk] = []
    async with WireServer([["Hello ", "there", Cut(how)]]) as server, way.to(server) as llm:
        with pytest.raises(TruncatedStream) as caught:
            await gathered(llm, got)
    assert caught.value.partial_text == "Hello there"
    assert (caught.value.provider, caught.value.model) == (way.vendor.name, way.vendor.model)
    assert all(chunk.type == "text" for chunk in got)
    assert len(server.requests) == 1


@every_way
async def test_a_call_that_breaks_off_is_no_call(way: Way) -> None:
    got: list[LLMChunk] = []
    reply = ["Wait.", CallFragment(0, "a", "get_weather", '{"city": "Ro'), Cut()]
    async with WireServer([reply]) as server, way.to(server) as llm:
        with pytest.raises(TruncatedStream) as caught:
            await gathered(llm, got, tools=[TOOL])
    assert caught.value.partial_text == "Wait."
    assert "done" not in [chunk.type for chunk in got]


@every_wire
@pytest.mark.parametrize("cut_after", [1, 20, 400])
async def test_an_answer_may_break_off_in_the_middle_of_an_event(way: Way, cut_after: int) -> None:
    """Somewhere within 400 bytes lies the first word, for some; whatever had not come is asked for again."""
    got: list[LLMChunk] = []
    reply = Reply("Hello there. " * 50, cut_after=cut_after)
    async with WireServer([reply]) as server, way.to(server, max_retries=0) as llm:
        with pytest.raises((TruncatedStream, ConnectionFailed)):
            await gathered(llm, got)
    assert "done" not in [chunk.type for chunk in got]


@every_way
async def test_an_end_before_the_first_word_is_asked_again(way: Way) -> None:
    async with WireServer([[KeepAlive(), Cut("end")], "Hi"]) as server, way.to(server) as llm:
        assert text_of(await chunks_of(llm)) == "Hi"


@ways(but=["anthropic-wire", "anthropic-client"])
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_an_answer_that_breaks_off_behind_its_finish_is_whole(way: Way, how: Any) -> None:
    async with WireServer([["Hello.", Finish("stop"), Usage(7, 5), Cut(how)]]) as server, way.to(server) as llm:
        assert text_of(await chunks_of(llm)) == "Hello."
    assert len(server.requests) == 1


@ways(but=["anthropic-wire", *(name for name in WAYS if name not in WIRES)])
async def test_silence_behind_the_finish_is_the_end(way: Way) -> None:
    async with WireServer([["Hello.", Finish("stop"), Usage(7, 5), Stall()]]) as server, way.to(server, timeout_s=0.1) as llm:
        assert text_of(await chunks_of(llm)) == "Hello."
        await server.closed()


@ways(shape="anthropic")
async def test_a_message_that_does_not_stop_is_not_whole(way: Way) -> None:
    async with WireServer([["Hi", Finish("stop"), Usage(7, 5), Cut("end")]]) as server, way.to(server) as llm:
        with pytest.raises(TruncatedStream):
            await chunks_of(llm)


@every_wire
async def test_silence_before_the_first_byte_is_a_timeout(way: Way) -> None:
    async with WireServer([Stall(), Stall()]) as server, way.to(server, timeout_s=0.1, max_retries=1) as llm:
        with pytest.raises(RequestTimeout, match=r"within 0\.1 s"):
            await chunks_of(llm)
        await server.closed()
    assert len(server.requests) == 2


@every_wire
async def test_silence_in_the_middle_is_an_answer_that_broke_off(way: Way) -> None:
    async with WireServer([["Hello", Stall()]]) as server, way.to(server, timeout_s=0.1) as llm:
        with pytest.raises(TruncatedStream) as caught:
            await chunks_of(llm)
        await server.closed()
    assert caught.value.partial_text == "Hello"


@pytest.mark.parametrize("name", WIRES)
async def test_nobody_there_is_told_so_with_the_address(name: str) -> None:
    vendor = WAYS[name].vendor
    async with WireServer() as server:
        base_url = vendor.base_url(server)
    llm = vendor.llm("test-key", model=vendor.model, base_url=base_url, max_retries=1)
    llm.retrying = replace(llm.retrying, base_s=0.001)
    with pytest.raises(ConnectionFailed, match=base_url.split("/")[2]) as caught:
        await chunks_of(llm)
    assert (caught.value.provider, caught.value.model) == (vendor.name, vendor.model)


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=VENDORS)
async def test_an_idle_connection_that_the_vendor_closed_is_no_failure(vendor: Vendor) -> None:
    way = Way(vendor, by_client=False)
    async with WireServer(["One.", Call("now"), "Three."]) as server, way.to(server, max_retries=0) as llm:
        for _ in range(3):
            await chunks_of(llm, tools=[TOOL])
            server.connections[-1].close(reset=True)
            await server.closed()
    assert len(server.connections) == 3


@every_way
async def test_after_a_failure_the_next_turn_goes_well(way: Way) -> None:
    async with WireServer([["Hel", Cut()], HttpError(500), "Hello."]) as server, way.to(server, max_retries=0) as llm:
        for error in (TruncatedStream, ServerError):
            with pytest.raises(error):
                await chunks_of(llm)
        assert text_of(await chunks_of(llm)) == "Hello."
