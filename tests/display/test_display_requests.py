"""Requests, costs, chunks and tool calls show themselves: what went over the wire, what it took and cost, and nothing beyond bounds."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import display_samples as samples
import pytest
from test_display import LIMIT, SAFE_ATTRIBUTES, SAFE_TAGS, Reader, page, read

from patter_nb.costs import Cost, Costs
from patter_nb.display import mimebundle
from patter_nb.llm.base import LLMChunk
from patter_nb.llm.wire.attempt import Answered, Attempt, Sent
from patter_nb.sequences import Chunks, Requests, ToolCalls
from patter_nb.turn import LLMRequest

GIANT = "&\u202e<script>" * 100_000
PACKED = {"Authorization": "[redacted]", "Content-Type": "application/vnd.msgpack", "Content-Encoding": "gzip"}
STREAM = b'data: {"delta": "It is"}\n\ndata: {"delta": " sunny <b>."}\n\ndata: [DONE]\n\n'


def sent(body: bytes | None = b'{"model": "m", "tools": [{"name": "look"}]}', **changes: Any) -> Sent:
    parts: dict[str, Any] = {"method": "POST", "url": "https://v.example/v1", "headers": PACKED, "size": 300, "plain_size": 1000}
    return Sent(**{**parts, **changes}, _json=body)


def answered(raw: bytes = STREAM, status: int | None = 200, **changes: Any) -> Answered:
    parts: dict[str, Any] = {"first_byte_ms": 120.4, "total_ms": 640.0, "is_complete": True, "size": len(raw)}
    return Answered(status, {"x-request-id": "req_7"}, "req_7", **{**parts, **changes}, _pieces=[raw], _is_stream=status in (None, 200))


def request(*attempts: Attempt, provider: str = "acme", model: str | None = "large", **changes: Any) -> LLMRequest:
    made = LLMRequest(1, provider, model, True, 1, ({"role": "user", "content": "Rome?"},), turn=4, attempts=list(attempts), **changes)
    made.chunks += [LLMChunk("text", content="It is"), LLMChunk("text", content=" sunny.")]
    made.chunks += [LLMChunk("usage", input_tokens=100, output_tokens=12, cache_read_tokens=300), LLMChunk("done", finish_reason="stop")]
    made.first_chunk_ms, made.total_ms = 410.0, 655.0
    return made


def attempt(number: int = 0, **changes: Any) -> Attempt:
    parts: dict[str, Any] = {"attempt": 1, "by": "wire", "sent": sent(), "answered": answered()}
    return Attempt(number, "acme", "large", **{**parts, **changes})


def refused() -> Attempt:
    return attempt(answered=answered(b'{"error": "slow"}', 429, total_ms=30.0, is_complete=False), error="Slow <down>.")


def costs() -> Costs:
    return Costs((
        Cost(None, "stt", "ears", "e", uses=2, seconds=1.5, cost=Decimal("0.0002")),
        Cost(1, "llm", "acme", "large", uses=2, input_tokens=1200, output_tokens=80, cache_read_tokens=640, cost=Decimal("0.0011")),
        Cost(1, "llm", "acme", "large", True, uses=1, input_tokens=900, output_tokens=4, estimated=True, cost=Decimal("0.0004")),
        Cost(1, "tts", "voices", "v<1>", uses=3, characters=120, cost=None),
        Cost(2, "llm", "local", "small", uses=1, input_tokens=10, output_tokens=2),
    ))  # fmt: skip


def conversed() -> LLMRequest:
    told = {"session.update": 1, "input_audio_buffer.append": 812}
    socket = attempt(
        by="socket", sent=sent(b'[{"type": "session.update"}]', size=None), answered=None, told=told, heard={"response.done": 3}
    )
    return request(socket, stage="engine")


def nouns() -> list[Any]:
    turns = samples.turns(samples.conversation())
    log = samples.log(samples.conversation())
    return [
        request(attempt()),
        request(refused(), attempt(1, attempt=2)),
        request(attempt(by="client", sent=sent(url=None, method="", headers={}, size=None), answered=answered(status=None))),
        request(attempt(sent=sent(None), answered=Answered(200, {}, _pieces=None))),
        request(attempt(answered=None, error="It could not be reached.")),
        request(),
        conversed(),
        Requests([(request(attempt()), False), (request(refused()), True), (request(), False)]),
        Requests(),
        costs(),
        costs()[:1],
        Costs(),
        costs()[0],
        Chunks([event for event in log if event.type == "llm_chunk"]),
        Chunks(),
        ToolCalls((turn.id, call) for turn in turns for call in turn.tool_calls),
        ToolCalls(),
        turns[1:],
    ]


@pytest.mark.parametrize("noun", nouns(), ids=lambda noun: type(noun).__name__)
def test_noun_shows_itself_in_words_and_as_markup_that_runs_nothing(noun: Any) -> None:
    shown = mimebundle(noun)
    assert set(shown) == {"text/plain", "text/html"}
    assert shown == mimebundle(noun) == noun._repr_mimebundle_()
    for text in shown.values():
        assert text.strip()
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    reader = Reader(shown["text/html"])
    assert reader.tags <= SAFE_TAGS
    assert {name for name, _ in reader.attributes} <= SAFE_ATTRIBUTES
    assert not any(re.search(r"//|url\(|@import", value) for _, value in reader.attributes)


# --- a request


def test_a_request_tells_who_was_asked_what_it_took_and_what_was_saved() -> None:
    shown = read(request(attempt()))
    assert "acme large stop turn 4, round 1" in shown
    assert "tokens 100 in, 12 out, 300 cache read · 75% of what it read came from the cache · unpriced" in shown
    assert "sent 300 of 1,000 bytes (70% saved by MessagePack and gzip) · first byte 120 ms, first chunk 410 ms, end 655 ms" in shown


def test_what_was_sent_and_answered_lies_in_folds() -> None:
    shown = page(request(attempt()))
    assert shown.count("<details>") == 2
    told = " ".join(Reader(shown).text.split())
    assert "sent POST https://v.example/v1 300 bytesAuthorization[redacted]Content-Type" in told
    assert '{ "model": "m", "tools": [ { "name": "look" } ] }' in told
    assert "answered HTTP 200 · 3 events" in told
    assert 'x-request-idreq_7{"delta": "It is"} {"delta": " sunny <b>."} [DONE]' in told
    assert "&lt;b&gt;" in shown


def test_attempts_that_failed_are_told() -> None:
    shown = read(request(refused(), attempt(1, attempt=2)))
    assert "2 attempts" in shown
    assert "attempt 1: acme · HTTP 429 · after 30 ms · Slow <down>." in shown
    assert "failed" in read(LLMRequest(1, "acme", None, True, 0, (), attempts=[refused()]))


def test_what_is_not_known_or_not_kept_says_so() -> None:
    by_client = request(attempt(by="client", sent=sent(url=None, method="", headers={}, size=None), answered=answered(status=None)))
    assert "Sent by the vendor's own client: address, headers and size on the wire are not known here." in read(by_client)
    assert read(request(attempt(sent=sent(None), answered=Answered(200, {}, _pieces=None)))).count("No longer kept") == 2
    assert "Nothing went over a wire." in read(request())
    begun = attempt(answered=answered(STREAM[:30], total_ms=None, is_complete=False))
    assert "cut off, or still coming" in read(request(begun))
    assert "Of this answer only the beginning is kept." in read(request(attempt(answered=answered(size=900_000))))


def test_of_an_engine_settings_and_counts_are_told() -> None:
    shown = read(conversed())
    assert "messages toldsession.update 1, input_audio_buffer.append 812messages heardresponse.done 3" in shown
    assert '"type": "session.update"' in shown


def test_the_same_tool_in_several_dialects_stands_side_by_side() -> None:
    one = request(attempt())
    other = request(attempt(sent=sent(b'{"tools": [{"functionDeclarations": [{"name": "look"}]}]}')), provider="other", model="m")
    assert "The tools as each of 2 models was told them" in read(Requests([(one, False), (other, False)]))
    assert "functionDeclarations" in read(Requests([(one, False), (other, False)]))
    assert "The tools as each" not in read(Requests([(one, False), (one, False)]))


# --- costs


def test_costs_tell_the_sum_and_what_is_unpriced_and_wasted() -> None:
    shown = read(costs())
    assert "Costs $0.0017 + tts unpriced" in shown
    assert "llmacme largetokens 2,100 in, 84 out, 640 cache read (some estimated), 3 requests$0.0015" in shown
    assert "ttsvoices v<1>120 characters spoken, 3 usesunpriced" in shown
    assert "Wasted: tokens 900 in, 4 out for answers begun early and dropped, $0.0004" in shown
    assert "no turn$0.0002$0.0002" in shown
    assert "turn 1$0.0015unpriced$0.0015 + tts unpriced" in shown
    assert "turn 2$0 (runs here)$0 (runs here)" in shown
    assert "Costs: $0.0017 + tts unpriced" in mimebundle(costs())["text/plain"]
    assert "Wasted" not in read(Costs(row for row in costs() if not row.wasted))


# --- size


def test_giants_stay_small() -> None:
    body = b'{"messages": ["' + b"x&" * 500_000 + b'"]}'
    huge = attempt(sent=sent(body, url=GIANT), answered=answered(b'data: "' + b"<y" * 400_000 + b'"\n\n'), error=GIANT)
    asked = request(*[huge] * 30, provider=GIANT, model=GIANT)
    calls = [(turn.id, call) for turn in samples.turns(samples.conversation()) for call in turn.tool_calls] * 200
    rows = [Cost(turn, "llm", GIANT[:3000], str(turn) + GIANT[:3000], uses=1) for turn in range(400)]
    chunks = [event for event in samples.log(samples.conversation() * 40) if event.type == "llm_chunk"]
    for noun in (asked, Requests([(asked, False)] * 60), Costs(rows), Chunks(chunks), ToolCalls(calls)):
        for text in mimebundle(noun).values():
            assert len(text.encode()) < LIMIT, type(noun).__name__
    assert "… 40 earlier requests not shown" in read(Requests([(asked, False)] * 60))
    assert "… 380 earlier turns not shown" in read(Costs(rows))
    assert re.search(r"… [\d,]+ earlier calls not shown", read(ToolCalls(calls)))
