"""Spans handed to OpenTelemetry as they begin and end. What an exporter raises is logged, and kept; the session goes on."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from patter_nb.errors import MissingExtra, PatterConfigError
from patter_nb.events import Event, SessionStopped
from patter_nb.tracing.fold import Fold
from patter_nb.tracing.tree import Growing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
    from opentelemetry.sdk.trace import TracerProvider as OwnProvider
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.trace import Span as LiveSpan
    from opentelemetry.trace import Tracer, TracerProvider

    from patter_nb.log import Log

logger = logging.getLogger("patter_nb")

__all__ = ["Trace", "target_of", "trace"]

_HINT = "For example: session.trace(OTLPSpanExporter()), or session.trace(InMemorySpanExporter())."


class Trace:
    """Where the spans of a session go: `target` is what was passed to `session.trace`.

    `error` is the newest failure of the exporter, None where it has taken all.
    """

    def __init__(self, name: str, target: SpanExporter | SpanProcessor | TracerProvider) -> None:
        self.name = name
        self.target = target
        self.error: BaseException | None = None
        self._failing = False
        self._own: OwnProvider | None = None
        self._provider = self._provider_of(target)
        self._tracer: Tracer = self._provider.get_tracer("patter_nb")
        self._live: dict[int, LiveSpan] = {}
        self._closing: threading.Thread | None = None

    def _provider_of(self, target: SpanExporter | SpanProcessor | TracerProvider) -> TracerProvider:
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
        from opentelemetry.trace import TracerProvider as AnyProvider

        if isinstance(target, AnyProvider):
            return target
        if not isinstance(target, (SpanExporter, SpanProcessor)):
            told = f"trace() was given {type(target).__name__}, which is no exporter, span processor or tracer provider."
            raise PatterConfigError(told, hint=_HINT)
        resource = Resource.create()
        if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: "patter"}))
        own = self._own = TracerProvider(resource=resource)
        if isinstance(target, SpanExporter):
            reporting: SpanExporter = _Reporting(target, self._took, self._report)  # type: ignore[assignment]  # its base is not there to derive from
            own.add_span_processor(BatchSpanProcessor(reporting))
        else:
            own.add_span_processor(target)
        return own

    def __repr__(self) -> str:
        failed = f", failed: {type(self.error).__name__}: {self.error}" if self.error is not None else ""
        return f"<Trace of {self.name!r} to {type(self.target).__name__}{failed}>"

    async def flush(self) -> bool:
        """Wait until everything that has ended is handed over. Whether it was taken: where not, `error` says why.

        Without a way to wait for a tracer provider of one's own, that is True at once.
        """
        return await asyncio.to_thread(self._flush)

    def _flush(self) -> bool:
        if self._closing is not None:
            self._closing.join()
        elif self._own is not None:
            self._own.force_flush()
        return not self._failing

    # --- as the fold's watcher

    def started(self, span: Growing) -> None:
        self._try(lambda: self._start(span))

    def ended(self, span: Growing) -> None:
        self._try(lambda: self._end(span))

    def _start(self, span: Growing) -> None:
        from opentelemetry.context import get_current
        from opentelemetry.trace import SpanKind, set_span_in_context

        parent = span.parent
        while parent is not None and parent.id not in self._live:  # it could not begin
            parent = parent.parent
        within = get_current() if parent is None else set_span_in_context(self._live[parent.id])
        kind = SpanKind.CLIENT if span.kind == "client" else SpanKind.INTERNAL
        self._live[span.id] = self._tracer.start_span(span.name, within, kind, span.attributes, start_time=span.start_ns)

    def _end(self, span: Growing) -> None:
        from opentelemetry.trace import Status, StatusCode

        live = self._live.pop(span.id, None)
        if live is None:
            return  # it could not begin, as was told
        live.set_attributes(span.attributes)
        for event in span.events:
            live.add_event(event.name, dict(event.attributes), event.at_ns)
        if span.error is not None:
            live.set_status(Status(StatusCode.ERROR, span.message))
        live.end(span.end_ns)

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001  # a processor, or a provider, may be anybody's
            self._report(error)

    # --- what becomes of them

    def _took(self) -> None:
        self._failing = False

    def _report(self, error: BaseException) -> None:
        """Say that spans are lost: once, until some are taken again."""
        self.error = error
        if not self._failing:
            self._failing = True
            logger.error("spans of session %s are lost: %s failed", self.name, type(self.target).__name__, exc_info=error)

    def close(self) -> None:
        """No more spans come: what waits is sent, in a thread of its own, for that may take long."""
        if self._own is not None and self._closing is None:
            self._closing = threading.Thread(target=self._own.shutdown, name="the last spans of a session")
            self._closing.start()


class _Reporting:
    """An exporter whose failures are told. It is the user's, and may serve other sessions: it is not shut down."""

    def __init__(self, exporter: SpanExporter, took: Callable[[], None], report: Callable[[BaseException], None]) -> None:
        self._exporter = exporter
        self._took = took
        self._report = report

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        from opentelemetry.sdk.trace.export import SpanExportResult

        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001  # an exporter may be anybody's
            self._report(error)
            return SpanExportResult.FAILURE
        if result is SpanExportResult.SUCCESS:
            self._took()
        else:
            self._report(ConnectionError(f"{type(self._exporter).__name__} did not deliver {len(spans)} spans; its own log says why."))
        return result

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self) -> None:
        self.force_flush()


def target_of(given: SpanExporter | SpanProcessor | TracerProvider | None) -> SpanExporter | SpanProcessor | TracerProvider:
    """What was passed, or the tracer provider that is set for the process. Raises as `Session.trace` does."""
    _require_sdk()
    return _globally_set() if given is None else given


def trace(log: Log, name: str, began_ns: int, target: SpanExporter | SpanProcessor | TracerProvider, *, capture_content: bool) -> Trace:
    """Send the spans of `log`, past ones and those to come, to `target`."""
    made = Trace(name, target)
    fold = Fold(name, began_ns, made, capture_content=capture_content)

    def take(event: Event) -> None:
        fold.fold(event)
        if isinstance(event.body, SessionStopped):
            made.close()

    for event in log:
        take(event)
    log.subscribe(take)
    return made


def _require_sdk() -> None:
    try:
        import opentelemetry.sdk.trace  # noqa: F401  # whether it is there
    except ImportError as error:
        raise MissingExtra("tracing", "opentelemetry-sdk", "session.trace()") from error


def _globally_set() -> TracerProvider:
    from opentelemetry.trace import NoOpTracerProvider, ProxyTracerProvider, get_tracer_provider

    provider = get_tracer_provider()
    if isinstance(provider, (ProxyTracerProvider, NoOpTracerProvider)):
        raise PatterConfigError("No exporter was passed, and no tracer provider is set for this process.", hint=_HINT)
    return provider
