"""What is read off a session: views of its log, what was heard and spoken, what it costs and how long it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from patter_nb.costs import Costs
from patter_nb.events import LLMChunked
from patter_nb.latencies import Latency
from patter_nb.llm.base import Message
from patter_nb.log import Audio
from patter_nb.reading import reading
from patter_nb.sequences import Chunks, Requests, ToolCalls
from patter_nb.session.live import Live
from patter_nb.timeline import Timeline

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import TracerProvider

    from patter_nb.tracing import Spans
    from patter_nb.tracing.exporting import Trace


class Readings(Live):
    """A session as it is looked at."""

    @reading
    def chunks(self) -> Chunks:
        """Every chunk that a language model sent."""
        return Chunks(self.events.of(LLMChunked))

    @reading
    def tool_calls(self) -> ToolCalls:
        """Every tool call of every turn."""
        return ToolCalls((turn.id, call) for turn in self.turns for call in turn.tool_calls)

    @reading
    def requests(self) -> Requests:
        """Every request to a language model or an engine, turn by turn; those of answers that were begun early and dropped come first.

        Each has what was really sent and answered: `session.requests[-1].sent.body`, `.answered.events`.
        """
        return Requests(self.turns.asked())

    def costs(self) -> Costs:
        """What was used and what it costs, by turn, stage and model: `costs().total`, `.by("provider")`, `.unpriced`, `.wasted`."""
        return self.turns.costs()

    @reading
    def audio(self) -> Audio:
        """The sound beside the log: `.heard` of the person at 16 kHz, `.spoken` of the agent on the output axis, both int16."""
        return Audio(self.events.heard, self.events.spoken)

    @property
    def timeline(self) -> Timeline:
        """Both sounds and all that happened on one axis of time. In a notebook `view("timeline")` is the same, live."""
        return self._timeline

    @reading
    def history(self) -> tuple[Message, ...]:
        """The conversation as the next turn's model will see it: OpenAI-shaped, without the system prompt."""
        return self._conductor.state.history

    def latency(self) -> Latency:
        """How long the answers took, from the person's last word to the first sound, and each part of that: percentiles over all turns that
        were answered to their end. `turn.waterfall` has the parts of one.
        """
        return Latency.of(self.turns)

    def spans(self, *, capture_content: bool = False) -> Spans:
        """The log as spans: the conversation, its turns, and in each what it took. Those that go on have no end yet. Sends nothing.

        Names and attributes are OpenTelemetry's for generative AI; the package is not needed. What was said, and what tools were given and
        gave back, is in them only with `capture_content=True`.
        """
        from patter_nb.tracing import spans

        return spans(self.events, name=self.name, began_ns=self._began_ns, capture_content=capture_content)

    def trace(self, target: SpanExporter | SpanProcessor | TracerProvider | None = None, *, capture_content: bool = False) -> Trace:
        """Send the spans to OpenTelemetry from now on, each as it ends, and those that are over at once. Needs the extra `tracing`.

        `target` is an exporter, which is served by a thread of its own, a span processor, or a tracer provider; None: the provider that is
        set for the process. Without this call nothing is ever sent, whatever the environment says. The same target again is the same
        trace. A failure of an exporter is logged, and is `trace.error`; the session goes on.

        Raises `MissingExtra` without the package, `PatterConfigError` for what is no target, and where none is passed and none is set.
        """
        from patter_nb.tracing.exporting import target_of, trace

        where = target_of(target)

        def begin() -> Trace:
            for made in self._traces:
                if made.target is where:
                    return made
            self._traces.append(trace(self.events, self.name, self._began_ns, where, capture_content=capture_content))
            return self._traces[-1]

        return self.in_loop(begin)
