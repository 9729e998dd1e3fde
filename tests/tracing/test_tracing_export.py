"""Spans handed to OpenTelemetry's own SDK: in memory, over OTLP to a collector on the loopback, and to exporters that fail."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import opentelemetry.trace
import pytest
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace import Span as SDKSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from talking import bodies, talking

from patter_nb.errors import MissingExtra, PatterConfigError, ServerError
from patter_nb.events import StageFailed
from patter_nb.session import Session
from patter_nb.testing import ScriptedLLM
from patter_nb.testing.scripted import Call
from patter_nb.tools.tool import tool

SECRET = "Rosebud"


@tool
def get_weather(city: str) -> str:
    """Tell the weather."""
    return f"sunny in {city}"


def with_a_tool() -> ScriptedLLM:
    return ScriptedLLM([Call("get_weather", {"city": SECRET}), f"Sunny in {SECRET}.", "Bye."])


def by_name(spans: Sequence[ReadableSpan]) -> list[tuple[str, str | None]]:
    """Each span with the name of its parent, in the order in which they ended."""
    names = {span.context.span_id: span.name for span in spans if span.context is not None}
    return [(span.name, names[span.parent.span_id] if span.parent is not None else None) for span in spans]


def assert_same(session: Session, exported: Sequence[ReadableSpan], *, capture_content: bool = False) -> None:
    """What was exported is what the log tells."""
    told = {
        (span.start_ns, span.end_ns, span.name, json.dumps(dict(span.attributes)))
        for span in session.spans(capture_content=capture_content)
    }
    got = {(span.start_time, span.end_time, span.name, json.dumps(dict(span.attributes or {}))) for span in exported}
    assert got == told


async def test_spans_are_exported_as_they_end() -> None:
    exporter = InMemorySpanExporter()
    async with talking(llm=with_a_tool(), tools=(get_weather,)) as session:
        trace = session.trace(exporter)
        await session.ask(f"What of {SECRET}?")
        assert await trace.flush()
        assert "conversation" not in [span.name for span in exporter.get_finished_spans()]
        assert len(exporter.get_finished_spans()) == 4
        await session.ask("Bye.")
    assert await trace.flush()
    spans = exporter.get_finished_spans()
    assert by_name(spans) == [
        ("chat script", "invoke_agent"),
        ("execute_tool get_weather", "invoke_agent"),
        ("chat script", "invoke_agent"),
        ("invoke_agent", "conversation"),
        ("chat script", "invoke_agent"),
        ("invoke_agent", "conversation"),
        ("conversation", None),
    ]
    assert_same(session, spans)
    assert len({span.context.trace_id for span in spans if span.context is not None}) == 1
    assert {span.kind for span in spans} == {SpanKind.INTERNAL}
    assert {span.resource.attributes["service.name"] for span in spans} == {"patter"}
    assert SECRET not in "".join(span.to_json() for span in spans)


async def test_what_is_past_is_exported_too_and_content_where_it_is_asked_for() -> None:
    exporter = InMemorySpanExporter()
    async with talking(llm=with_a_tool(), tools=(get_weather,)) as session:
        await session.ask(f"What of {SECRET}?")
    trace = session.trace(exporter, capture_content=True)
    assert await trace.flush()
    assert_same(session, exporter.get_finished_spans(), capture_content=True)
    assert SECRET in "".join(span.to_json() for span in exporter.get_finished_spans())


async def test_the_same_target_is_traced_once_and_serves_the_next_session_too() -> None:
    exporter = InMemorySpanExporter()
    for count in (3, 6):
        async with talking(llm=ScriptedLLM(["Hi."])) as session:
            assert session.trace(exporter) is session.trace(exporter)
            await session.ask("Hello?")
        assert await session.trace(exporter).flush()
        assert len(exporter.get_finished_spans()) == count


async def test_an_error_is_the_status() -> None:
    exporter = InMemorySpanExporter()
    async with talking(llm=ScriptedLLM([ServerError(SECRET, status=500)])) as session:
        session.trace(SimpleSpanProcessor(exporter))  # a processor of one's own: at once
        await session.ask("Hello?")
        chat, turn = exporter.get_finished_spans()
    for span in (chat, turn):
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
        assert span.attributes is not None
        assert span.attributes["error.type"] == "ServerError"
    assert [event.name for event in turn.events] == ["patter.event.stage_failed"]


class Collector:
    """An OTLP/HTTP receiver on the loopback. It answers `status`, and keeps what it took."""

    def __init__(self, status: int) -> None:
        self.taken: list[ExportTraceServiceRequest] = []
        self.paths: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                assert self.headers["content-type"] == "application/x-protobuf"
                collector.paths.add(self.path)
                if status == 200:
                    collector.taken.append(ExportTraceServiceRequest.FromString(body))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: object) -> None:
                """The test says what was wrong."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1/traces"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def spans(self) -> list[WireSpan]:
        return [span for one in self.taken for resource in one.resource_spans for scope in resource.scope_spans for span in scope.spans]


@pytest.fixture(params=[200])
def collector(request: pytest.FixtureRequest) -> Iterator[Collector]:
    made = Collector(request.param)
    yield made
    made.close()


async def test_a_collector_takes_them_over_otlp(collector: Collector) -> None:
    exporter = OTLPSpanExporter(endpoint=collector.url)
    async with talking(llm=with_a_tool(), tools=(get_weather,)) as session:
        trace = session.trace(exporter)
        await session.ask(f"What of {SECRET}?")
    assert await trace.flush()
    exporter.shutdown()
    told = session.spans()
    assert collector.paths == {"/v1/traces"}
    assert sorted((span.start_time_unix_nano, span.end_time_unix_nano, span.name) for span in collector.spans) == sorted(
        (span.start_ns, span.end_ns, span.name) for span in told
    )
    names = {span.span_id: span.name for span in collector.spans}
    (call,) = (span for span in collector.spans if span.name == "execute_tool get_weather")
    assert names[call.parent_span_id] == "invoke_agent"
    assert {pair.key: pair.value.string_value for pair in call.attributes}["gen_ai.tool.name"] == "get_weather"
    assert not [one for one in collector.taken if SECRET.encode() in one.SerializeToString()]


@pytest.mark.parametrize("collector", [400], indirect=True)
async def test_a_collector_that_refuses_them_is_told_of(collector: Collector, caplog: pytest.LogCaptureFixture) -> None:
    exporter = OTLPSpanExporter(endpoint=collector.url)
    async with talking(llm=ScriptedLLM(["Hi."])) as session:
        trace = session.trace(exporter)
        assert (await session.ask("Hello?")).status == "completed"
    assert not await trace.flush()
    exporter.shutdown()
    assert "did not deliver" in str(trace.error)
    assert [record.levelno for record in caplog.records if record.name == "patter_nb"] == [logging.ERROR]


class Failing(SpanExporter):
    """Fails as often as it is told to, then takes all."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.taken: list[str] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.times -= 1
        if self.times >= 0:
            raise OSError("the disk is full")
        self.taken += [span.name for span in spans]
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        raise AssertionError("it is not ours to shut down")


async def test_an_exporter_that_raises_is_told_of_once_and_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    exporter = Failing(2)
    async with talking(llm=ScriptedLLM(["Hi.", "Hi.", "Hi."])) as session:
        trace = session.trace(exporter)
        for taken in (False, False, True):
            assert (await session.ask("Hello?")).status == "completed"
            assert await trace.flush() is taken
    assert await trace.flush()
    assert exporter.taken == ["chat script", "invoke_agent", "conversation"]
    assert isinstance(trace.error, OSError)
    assert "the disk is full" in repr(trace)
    assert not bodies(session, StageFailed)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "spans of session test are lost: Failing failed" in caplog.text


class Broken(SimpleSpanProcessor):
    """A processor that fails in the session's own loop."""

    def on_end(self, span: ReadableSpan) -> None:
        raise OSError("broken")


async def test_a_processor_that_raises_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with talking(llm=ScriptedLLM(["Hi."])) as session:
        trace = session.trace(Broken(InMemorySpanExporter()))
        assert (await session.ask("Hello?")).status == "completed"
    assert not await trace.flush()
    assert isinstance(trace.error, OSError)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


class Late(SimpleSpanProcessor):
    """A processor that fails where the conversation begins, and then is well."""

    def on_start(self, span: SDKSpan, parent_context: Context | None = None) -> None:
        if span.name == "conversation":
            raise OSError("not ready")


async def test_a_span_that_could_not_begin_takes_no_other_with_it() -> None:
    exporter = InMemorySpanExporter()
    async with talking(llm=ScriptedLLM(["Hi."])) as session:
        trace = session.trace(Late(exporter))
        assert (await session.ask("Hello?")).status == "completed"
    await trace.flush()
    chat, turn = exporter.get_finished_spans()
    assert (chat.name, turn.name, turn.parent) == ("chat script", "invoke_agent", None)
    assert chat.parent is not None and chat.parent.span_id == turn.get_span_context().span_id  # type: ignore[union-attr]
    assert isinstance(trace.error, OSError), "and what is told is why"


async def test_the_provider_of_the_process_is_used_where_one_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    async with talking(llm=ScriptedLLM(["Hi."])) as session:
        with pytest.raises(PatterConfigError, match="no tracer provider is set"):
            session.trace()
        monkeypatch.setattr(opentelemetry.trace, "get_tracer_provider", lambda: provider)
        assert session.trace() is session.trace(provider)
        with provider.get_tracer("test").start_as_current_span("mine"):
            await session.ask("Hello?")
    assert sorted(span.name for span in exporter.get_finished_spans()) == ["chat script", "conversation", "invoke_agent", "mine"]


async def test_what_is_no_target_is_named() -> None:
    async with talking(llm=ScriptedLLM([])) as session:
        with pytest.raises(PatterConfigError, match="trace\\(\\) was given str"):
            session.trace("http://127.0.0.1:4318")  # type: ignore[arg-type]


async def test_without_the_package_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    async with talking(llm=ScriptedLLM([])) as session:
        with pytest.raises(MissingExtra, match=r"patter-nb\[tracing\]"):
            session.trace(InMemorySpanExporter())
        assert session.spans()
