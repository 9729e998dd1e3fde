"""One turn as spans: requests, tools, voice and playback, under an agent that was invoked."""

from __future__ import annotations

from dataclasses import replace

from patter_nb.events import (
    AudioSent,
    Body,
    Breakpoint,
    BreakpointHit,
    BreakpointLeft,
    GuardrailHit,
    LLMChunked,
    LLMRequested,
    PlaybackEnded,
    PlaybackPaused,
    PlaybackResumed,
    PlaybackStarted,
    RequestAnswered,
    RequestSent,
    SentenceChecked,
    SentenceReady,
    SentenceSpoken,
    SpeechUsed,
    StageFailed,
    ToolCalled,
    ToolEnded,
    TurnEnded,
    TurnHeard,
)
from patter_nb.tracing import chat, names
from patter_nb.tracing.chat import Chat
from patter_nb.tracing.content import said
from patter_nb.tracing.span import Value
from patter_nb.tracing.speaking import Mouth, Played
from patter_nb.tracing.tree import Growing, Tree
from patter_nb.turn import Turn

__all__ = ["TurnSpans"]


class TurnSpans:
    """The spans of one answer below `span`. It is over when what was heard of it is settled."""

    def __init__(self, tree: Tree, span: Growing, rate: int) -> None:
        self.span = span
        self._tree = tree
        self._chats: list[Chat] = []
        self._tools: dict[str, Growing] = {}
        self._held: dict[str, tuple[ToolCalled, float]] = {}
        self._mouth = Mouth(tree, span)
        self._played = Played(tree, span, rate)
        self._interrupted = False

    def fold(self, body: Body, at_s: float, points: tuple[Breakpoint, ...] = ()) -> bool:  # noqa: C901, PLR0912  # one case for each kind of event
        """One more event of this turn; breakpoints are set at `points`. False for what a span would tell that has already ended."""
        match body:
            case LLMRequested():
                if body.piece is None:
                    self._settle()
                self._chats.append(chat.begin(self._tree, self.span, body, at_s))
            case LLMChunked(chunk=chunk):
                asked = chat.asked_of(self._chats, body)
                if asked is None or asked.span.end_ns is not None:
                    return False
                asked.take(self._tree, chunk, at_s)
            case RequestSent() | RequestAnswered():
                for asked in self._chats[-1:]:
                    asked.go_over_the_wire(self._tree, body, at_s)
            case ToolCalled() | ToolEnded() | BreakpointLeft():
                self._fold_tool(body, at_s, points)
            case SentenceReady() | SentenceChecked() | AudioSent() | SentenceSpoken():
                if not self._is_engines:
                    self._mouth.fold(body, at_s)
            case SpeechUsed():
                return body.stage == "tts" and self._mouth.used(body)
            case PlaybackStarted() | PlaybackPaused() | PlaybackResumed() | PlaybackEnded():
                self._played.fold(body, at_s)
            case GuardrailHit(name, on):
                self._tree.mark(self.span, body.type, at_s, {"patter.guardrail.name": name, "patter.guardrail.on": on})
            case BreakpointHit(point):
                self._tree.mark(self.span, body.type, at_s, {"patter.breakpoint": point})
            case StageFailed():
                self._fail(body, at_s)
            case TurnEnded() | TurnHeard():
                self._end(body, at_s)
        return True

    @property
    def _is_engines(self) -> bool:
        return bool(self._chats) and self._chats[-1].request.stage == "engine"

    def _settle(self) -> None:
        """The model has said all: its stream ended, though it did not say so."""
        for asked in self._chats:
            asked.end(self._tree, asked.last_s)

    def _fold_tool(self, body: ToolCalled | ToolEnded | BreakpointLeft, at_s: float, points: tuple[Breakpoint, ...]) -> None:
        """A call that a breakpoint stands before is no span until it is let go."""
        match body:
            case ToolCalled():
                if not self._is_engines:
                    self._settle()
                if "tool_call" in points:
                    self._held[body.id] = (body, at_s)
                else:
                    self._run(body, at_s)
            case BreakpointLeft():
                self._let_go(body, at_s, points)
            case ToolEnded(id, _, status, content, error):
                if id in self._held:  # never let go, or behind what was
                    called, called_s = self._held.pop(id)
                    self._run(called, at_s if status == "cancelled" else called_s)
                span = self._tools.pop(id)
                if status == "failed":
                    self._tree.fail(span, "ToolError", error or content)
                self._tree.tell(span, {"patter.tool.status": status, names.TOOL_RESULT: content})
                self._tree.end(span, at_s)

    def _let_go(self, left: BreakpointLeft, at_s: float, points: tuple[Breakpoint, ...]) -> None:
        if left.id in self._held:
            called, _ = self._held.pop(left.id)
            self._run(replace(called, arguments=left.edits.get("arguments", called.arguments)), at_s)
        if "tool_call" not in points and (left.point == "tool_call" or "speak" not in points):  # what stood behind it goes too
            for called, _ in self._held.values():
                self._run(called, at_s)
            self._held.clear()

    def _run(self, called: ToolCalled, at_s: float) -> None:
        known = {names.OPERATION: names.EXECUTE_TOOL, names.TOOL_NAME: called.name, names.TOOL_CALL: called.id, names.TOOL_TYPE: "function"}
        known |= {names.TOOL_ARGUMENTS: called.arguments}
        self._tools[called.id] = self._tree.start(self.span, f"{names.EXECUTE_TOOL} {called.name}", at_s, known)

    def _fail(self, body: StageFailed, at_s: float) -> None:
        kind = type(body.error).__name__
        told = {"patter.stage": body.stage, names.ERROR: kind, "patter.error.status": body.error.status}
        self._tree.mark(self.span, body.type, at_s, told)
        if body.stage in ("llm", "engine"):
            for asked in self._chats[-1:]:
                if asked.span.end_ns is None:
                    self._tree.fail(asked.span, kind, body.error.message)
                    asked.end(self._tree, at_s)
        elif body.stage == "tts":
            self._mouth.failed(body, at_s)

    def _end(self, body: TurnEnded | TurnHeard, at_s: float) -> None:
        interrupted = body.interrupted if isinstance(body, TurnHeard) else body.status == "interrupted"
        if interrupted and not self._interrupted:
            self._interrupted = True
            self._tree.mark(self.span, "interruption", at_s)
        if isinstance(body, TurnEnded):
            if body.error is not None:
                self._tree.fail(self.span, type(body.error).__name__, body.error.message)
            if body.status == "completed":
                self._settle()
        self.cut(at_s)

    def cut(self, at_s: float) -> None:
        """What is under way of the answer ends here."""
        for asked in self._chats:
            asked.end(self._tree, at_s)
        self._mouth.end(at_s)

    def close(self, turn: Turn, at_s: float) -> None:
        """The turn is over, and `turn` says how it went."""
        spoken = {"patter.cost.stt_seconds": turn.usage.get("stt_seconds"), "patter.cost.tts_chars": turn.usage.get("tts_characters")}
        latency = {f"patter.latency.{name}_ms": ms for name, ms in turn.latency.items()}
        content = {names.INPUT_MESSAGES: said("user", turn.user_text), names.OUTPUT_MESSAGES: said("assistant", turn.heard_text)}
        provider = names.vendor(turn.provider) if turn.provider else None
        asked: dict[str, Value | None] = {names.PROVIDER: provider, names.REQUEST_MODEL: turn.model}
        self._tree.tell(self.span, {"patter.turn.status": turn.status, **asked, **self._tokens(), **spoken, **latency, **content})
        self.discard(at_s)

    def discard(self, at_s: float) -> None:
        """Nothing more is told of it."""
        self.cut(at_s)
        self._tree.end(self.span, at_s)

    def count_untold(self) -> None:
        """Estimate the tokens of requests that were thrown away before they told them."""
        for asked in self._chats:
            if asked.span.end_ns is None:
                asked.request.count_untold()

    def _tokens(self) -> dict[str, Value | None]:
        """The tokens of all requests together."""
        total: dict[str, Value | None] = {}
        for asked in self._chats:
            for name, value in chat.usage(asked.request.usage).items():
                if isinstance(value, int) and not isinstance(value, bool):
                    before = total.get(name)
                    total[name] = value + (before if isinstance(before, int) else 0)
        return total
