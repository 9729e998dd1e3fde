"""One live conversation as its user sees it: talk to it, change it while it runs, read what happened."""

from __future__ import annotations

import asyncio
import difflib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload
from weakref import WeakSet

from patter_nb.agent import PARTS, Agent, describe_change
from patter_nb.breakpoints import GoingOn, PausedAt, paused_at, require_points
from patter_nb.clock import epoch_ns
from patter_nb.conductor import Conductor
from patter_nb.costs import Costs
from patter_nb.doctor import Report, examine
from patter_nb.errors import PatterConfigError, RequestTimeout
from patter_nb.events import (
    AgentChanged,
    Breakpoint,
    BreakpointHit,
    Event,
    LLMChunked,
    SessionStarted,
    SessionState,
    SessionStopped,
    StageFailed,
    TurnEnded,
    TurnHeard,
    TurnOffered,
    TurnStarted,
)
from patter_nb.keywords import reject_unknown
from patter_nb.latencies import Latency
from patter_nb.llm.base import LLMProvider, Message
from patter_nb.llm.on_message import OnMessage, OnMessageLLM
from patter_nb.log import Audio, Log
from patter_nb.own_loop import run_in_loop
from patter_nb.pricing import Prices
from patter_nb.reading import reading
from patter_nb.sequences import Chunks, Requests, ToolCalls
from patter_nb.step.inputs import Failure, PauseAt, Resume, Say, Stop, Swap
from patter_nb.timeline import Timeline
from patter_nb.tools.tool import Tool, tool
from patter_nb.transports.base import Accept, Transport, TransportInput, Typed
from patter_nb.turn import Turn
from patter_nb.turns import Turns
from patter_nb.vad import with_ears

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import TracerProvider

    from patter_nb.tracing import Spans
    from patter_nb.tracing.exporting import Trace

logger = logging.getLogger("patter_nb")

Result = TypeVar("Result")

_sessions: WeakSet[Session] = WeakSet()
"""Every session made here and still kept, so that two live ones do not share ears."""


_MACHINERY = frozenset(("adopt", "face", "in_loop", "loop", "on_closed", "start", "take"))
_OWN = ("name", "turns", "transport", "face")


def _part(name: str, doc: str) -> property:
    """A part of the agent: reading gives the present one, setting is `use(name=value)`."""
    return property(lambda self: getattr(self.agent, name), lambda self, value: self._set(name, value), doc=doc)


class Session:
    """A live conversation between a person and an agent, made by `await Patter().serve(agent)`.

    `events` is its log; `turns`, `chunks`, `tool_calls` and `audio` are views of it. `use` changes the agent while it runs.
    """

    def __init__(self, agent: Agent, *, transport: Transport, name: str = "main", prices: Prices | None = None) -> None:
        _require_own_ears(agent, None)
        self.name = name
        self.transport = transport
        self._conductor = Conductor(agent, transport, name)
        self._started = asyncio.Event()
        self.face: object = None
        """What shows the session live, once it is shown."""
        self._began_ns = 0
        self._traces: list[Trace] = []
        self.turns = Turns(prices, self._conductor.log.attempts, self._conductor.log)
        """All turns so far, folded from the log."""
        self._conductor.log.add_fold(self.turns.fold)
        self._conductor.log.add_fold(self._note_beginning)
        self._conductor.log.subscribe(self._tell_unseen)
        self._timeline = Timeline(self._conductor.log)
        _sessions.add(self)

    def __setattr__(self, name: str, value: object) -> None:
        if not (name.startswith("_") or hasattr(type(self), name) or name in _OWN):
            near = difflib.get_close_matches(name, [*PARTS, "on_message"], n=1)
            raise AttributeError(f"A session has no {name!r} to set." + (f" Did you mean {near[0]}?" if near else ""))
        object.__setattr__(self, name, value)

    def __dir__(self) -> list[str]:
        """Without what only the machinery around a session calls."""
        return [name for name in object.__dir__(self) if name not in _MACHINERY]

    @reading
    def agent(self) -> Agent:
        """The agent as it is, or as it will be from the next turn on."""
        return self._conductor.state.next_agent or self._conductor.state.agent

    @reading
    def state(self) -> SessionState:
        """One word: starting, ready, listening, thinking, calling, speaking, paused or stopped."""
        return self._conductor.state.word

    @reading
    def events(self) -> Log:
        """The log: everything that happened, in order."""
        return self._conductor.log

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
        """Every request of every turn to a language model or an engine; those of answers that were begun early and dropped come first.

        Each has what was really sent and answered: `session.requests[-1].sent.body`, `.answered.events`.
        """
        told = ((asked, wasted) for turn in self.turns for asked, wasted in ((turn.thrown_away, True), (turn.requests, False)))
        return Requests((request, wasted) for asked, wasted in told for request in asked)

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

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or its event loop has."""
        return self.state == "stopped" or self._conductor.closed.done() or self._conductor.loop.is_closed()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that the session lives in."""
        return self._conductor.loop

    def take(self, given: TransportInput) -> None:
        """Take in what the person does, though their transport does not tell it. Called in the session's loop."""
        if self.state != "stopped":
            self._conductor.take(given)

    def doctor(self) -> Report:
        """What is installed, how the session is connected, and how long things take here."""
        return examine(self)

    def latency(self) -> Latency:
        """How long the answers took, from the person's last word to the first sound, and each part of that: percentiles over all turns that
        were answered to their end. `turn.waterfall` has the parts of one.
        """
        return Latency.of(self.turns)

    def view(self, name: str) -> Any:
        """A live widget of the session: "console", or a part of it: "transcript", "chunks", "tools", "latency", "audio", "timeline"."""
        from patter_nb.console import view

        return view(self, name)

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

    async def start(self) -> None:
        """Load what can be loaded and begin to hear; `serve` does this. Raises what fails at loading."""
        try:
            await self._conductor.start()
        finally:
            self._started.set()

    def _tell_unseen(self, event: Event) -> None:
        """Where nothing shows the session, what fails in it is at least said."""
        if isinstance(event.body, StageFailed) and self.face is None:
            logger.warning("session %s: %s failed: %s", self.name, event.body.stage, event.body.error)

    def _note_beginning(self, event: Event) -> None:
        if isinstance(event.body, SessionStarted):
            self._began_ns = epoch_ns()

    def on_closed(self, act: Callable[[], object]) -> None:
        """Call `act` once the session is closed."""
        self._conductor.closed.add_done_callback(lambda _: act())

    async def adopt(self, agent: Agent) -> AgentChanged:
        """Go on as another agent from the next turn on, keeping the history: `use` with every part. Waits for `start`."""
        return await self._at_home(lambda: self._adopt(agent))

    async def _adopt(self, agent: Agent) -> AgentChanged:
        await self._started.wait()
        return self._change(agent, "turn")

    # --- talking

    async def ask(self, text: str, *, timeout_s: float | None = None) -> Turn:
        """The person types `text`. Returns the turn when its answer is complete and its sound is handed over.

        A turn that failed is returned too, with `status` "failed" and the cause in `error`; after `timeout_s` seconds of
        session time it fails with `RequestTimeout`. Typing while the agent speaks interrupts it, as speaking would.
        Raises `PatterConfigError` for empty text, and for a session that is over.
        """
        _require_text("ask", text)
        return await self._at_home(lambda: self._ask(text, timeout_s))

    async def _ask(self, text: str, timeout_s: float | None) -> Turn:
        self._require_live()
        self._conductor.feed(Typed(text))
        self._require_live()
        turn = self.turns[-1]
        if timeout_s is None:
            return await self._over(turn)
        timer = self._conductor.tasks.spawn(self._expire(turn, timeout_s), "timeout")
        try:
            return await self._over(turn)
        finally:
            timer.cancel()

    async def say(self, text: str) -> Turn:
        """The agent speaks `text` by itself, once it is free. Returns when its sound is handed over."""
        _require_text("say", text)
        return await self._at_home(lambda: self._say(text))

    async def _say(self, text: str) -> Turn:
        self._require_live()
        ahead = len(self._conductor.state.queue)

        def ours(event: Event) -> bool:
            nonlocal ahead
            if isinstance(event.body, TurnStarted) and event.body.source == "say":
                ahead -= 1
            return ahead < 0 or isinstance(event.body, SessionStopped)

        began = self._event(ours)
        self._conductor.feed(Say(text))
        event = await began
        return await self._over(self._turn_of(event))

    async def accept(self, turn: Turn) -> Turn:
        """Answer a turn that was only offered, because it came too late. Returns as `ask` does."""
        return await self._at_home(lambda: self._accept(turn))

    async def _accept(self, turn: Turn) -> Turn:
        self._require_live()
        if not any(turn is own for own in self.turns):
            raise PatterConfigError(f"Turn {turn.id} is not one of this session's.", hint="Take it from session.turns.")
        if turn.status != "offered":
            raise PatterConfigError(f"Turn {turn.id} is {turn.status}.", hint='Only a turn with status "offered" can be accepted.')
        self._conductor.feed(Accept(turn.id))
        return await self._over(turn)

    async def wait_turn(self) -> Turn:
        """The next turn to be over: answered and heard, failed, interrupted, or offered because it came too late.

        Raises `PatterConfigError` on a kernel where nothing that the person does arrives while a cell awaits.
        """
        self.transport.check_waiting()
        return await self._at_home(self._wait_turn)

    async def _wait_turn(self) -> Turn:
        self._require_live()
        ends = (TurnHeard, TurnOffered, BreakpointHit, SessionStopped)
        return self._turn_of(await self._event(lambda event: isinstance(event.body, ends)))

    async def wait(self) -> None:
        """Return when the session is over. Raises the `PatterError` that ended it, if one did.

        Raises `PatterConfigError` on a kernel where nothing that the person does arrives while a cell awaits.
        """
        if not self.is_over:
            self.transport.check_waiting()
        await self._at_home(self._closed)

    async def stop(self) -> None:
        """End the session; whatever is being said is cut off. Stopping twice is the same as once.

        Raises the `PatterError` that ended it or came up at its end, if one did: a recording that could not be written, say.
        """
        await self._at_home(self._stop)

    async def _stop(self) -> None:
        self._conductor.feed(Stop("stop() was called"))
        await self._closed()

    async def _closed(self) -> None:
        await asyncio.shield(self._conductor.closed)

    async def _at_home(self, talk: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """The outcome of `talk`, awaited in the session's loop, from whatever loop this is."""
        loop = self._conductor.loop
        if asyncio.get_running_loop() is loop or self._conductor.closed.done():
            return await talk()
        if not loop.is_running():
            raise PatterConfigError("The event loop of this session does not run.", hint="Keep it open: await session.wait() at its end.")
        return await run_in_loop(loop, talk())

    async def _over(self, turn: Turn) -> Turn:
        if turn.status == "running" and self.paused_at is None:
            await self._event(lambda event: event.turn == turn.id and isinstance(event.body, (TurnEnded, BreakpointHit)))
        return turn

    def _event(self, wanted: Callable[[Event], bool]) -> asyncio.Future[Event]:
        """The next event that is wanted, looked for from now on."""
        found: asyncio.Future[Event] = asyncio.get_running_loop().create_future()

        def look(event: Event) -> None:
            if not found.done() and wanted(event):
                found.set_result(event)

        unsubscribe = self.events.subscribe(look)
        found.add_done_callback(lambda _: unsubscribe())
        return found

    def _turn_of(self, event: Event) -> Turn:
        if event.turn is None:
            raise PatterConfigError("The session ended before that.", hint="Start another: session = await phone.serve(agent).")
        return self.turns.by_id(event.turn)

    async def _expire(self, turn: Turn, timeout_s: float) -> None:
        conductor = self._conductor
        await conductor.clock.sleep_until(conductor.clock.now_ms() + timeout_s * 1000)
        if turn.status == "running":
            error = RequestTimeout(f"No complete answer within {timeout_s} s.", hint="Raise timeout_s, or take a faster model.")
            conductor.feed(Failure(conductor.state.epoch, "session", error))

    def _require_live(self) -> None:
        if self._conductor.state.life != "live":
            raise PatterConfigError("This session is over.", hint="Start another: session = await phone.serve(agent).")

    # --- stopping to look

    def pause_at(self, *points: Breakpoint) -> None:
        """Stop the answer before each of these from now on: "llm_request", "tool_call", "speak" (each piece). Without points: nowhere.

        `ask` and `wait_turn` return there, with the turn "running"; `paused_at` is what it stopped before, `resume` goes on. The
        person can still interrupt it, or stop the call. An engine asks itself, so of one only tools stop. From any thread.
        """
        require_points(points)
        self.in_loop(lambda: self._conductor.feed(PauseAt(points)))

    @property
    def paused_at(self) -> PausedAt | None:
        """What the answer has stopped before, None where it has not."""
        return paused_at(self._conductor.state)

    def resume(self, **edits: Any) -> Awaitable[Turn]:
        """Go on from the breakpoint, edited: `messages=` to the model; `arguments=` of the tool, or its `result=`, and then it does not
        run; `text=` to speak. It goes on at once; `await session.resume()` also waits for the turn's end, or the next breakpoint.

        Raises `PatterConfigError` where nothing has stopped, or for a value that is none; `TypeError` for an edit that is not of its kind.
        """
        return self.in_loop(lambda: self._resume(edits))

    def _resume(self, edits: Mapping[str, Any]) -> Awaitable[Turn]:
        stopped = self.paused_at
        if stopped is None:
            raise PatterConfigError("Nothing has stopped at a breakpoint.", hint='Set one: session.pause_at("tool_call").')
        checked = stopped.checked(edits)
        turn = self.turns.by_id(stopped.turn)
        self._conductor.feed(Resume(checked))
        return GoingOn(turn, lambda: self._at_home(lambda: self._over(turn)))

    # --- changing

    def use(self, *, when: Literal["turn", "now"] = "turn", **parts: Any) -> AgentChanged:
        """Change parts of the agent (any keyword of `agent()`), from the next turn on, or `when="now"` in the middle of an answer.

        "now" fences the running answer off: what was heard stays, nothing more of the old parts is, and the new ones go on.
        May be called from any thread. Returns what changed. A rejected value (`PatterConfigError`, also for an agent that the
        transport cannot carry, or `TypeError` for an unknown part) leaves the agent as it was. `on_message` takes the place of
        `llm`, and the reverse.
        """
        if when not in ("turn", "now"):
            raise PatterConfigError(f"when={when!r} is unknown.", hint='Use when="turn" or when="now".')
        reject_unknown("use", parts, (*PARTS, "on_message"))
        if "on_message" in parts:
            parts = self._answering(**parts)
        self._require_no_engine(parts)
        return self.in_loop(lambda: self._change(with_ears(self.agent.replace(**parts)), when))

    def _require_no_engine(self, parts: Mapping[str, object]) -> None:
        """Raise where a stage is set that an engine keeps from running."""
        set_parts = [name for name in ("stt", "llm", "tts") if parts.get(name) is not None]
        if set_parts and parts.get("engine", self.agent.engine) is not None:
            raise PatterConfigError(
                f"An engine runs, and {' and '.join(set_parts)} would not.",
                hint="Put a pipeline in its place: session.use(engine=None, stt=..., llm=..., tts=...).",
            )

    def _answering(self, *, on_message: OnMessage | None, **parts: Any) -> dict[str, Any]:
        """The parts with `llm` for `on_message`; None takes it away."""
        if parts.get("llm") is not None and on_message is not None:
            raise PatterConfigError("Two that answer: on_message= and llm=.", hint="Pass one of them.")
        if on_message is not None:
            return parts | {"llm": OnMessageLLM(on_message)}
        return {"llm": None} | parts if self.on_message is not None else parts

    def _change(self, agent: Agent, when: Literal["turn", "now"]) -> AgentChanged:
        self._require_live()
        agent = self._conductor.equipped(agent)
        _require_own_ears(agent, self)
        self.transport.check(agent)
        changed = AgentChanged(describe_change(self.agent, agent), when)
        self._conductor.feed(Swap(agent, when))
        return changed

    def in_loop(self, act: Callable[[], Result]) -> Result:
        """The result of `act`, run in the session's loop, from whatever thread this is."""
        loop = self._conductor.loop
        try:
            here = asyncio.get_running_loop() is loop
        except RuntimeError:
            here = False
        if here or loop.is_closed():
            return act()

        async def acting() -> Result:
            return act()

        if loop.is_running():
            return asyncio.run_coroutine_threadsafe(acting(), loop).result()
        return loop.run_until_complete(acting())

    def _set(self, name: str, value: object) -> None:
        part: dict[str, Any] = {name: value}
        self.use(**part)

    @property
    def llm(self) -> LLMProvider | None:
        """The language model; None where `on_message` answers. Setting it takes the place of `on_message`."""
        llm = self.agent.llm
        return None if isinstance(llm, OnMessageLLM) else llm

    @llm.setter
    def llm(self, value: LLMProvider | None) -> None:
        self.use(llm=value)

    @property
    def on_message(self) -> OnMessage | None:
        """The function or URL that answers in place of a language model; None where one does. Setting it takes the place of `llm`."""
        llm = self.agent.llm
        return llm.handler if isinstance(llm, OnMessageLLM) else None

    @on_message.setter
    def on_message(self, value: OnMessage | None) -> None:
        self.use(on_message=value)

    stt = _part("stt", "Speech-to-text.")
    tts = _part("tts", "Text-to-speech.")
    engine = _part("engine", "What hears, thinks and speaks by itself, in place of the three.")
    vad = _part("vad", "The voice activity detector.")
    tools = _part("tools", "The tools.")
    system_prompt = _part("system_prompt", "What the model is told.")
    variables = _part("variables", "What fills the placeholders of the prompt.")
    guardrails = _part("guardrails", "What must not be said or asked.")
    turn_taking = _part("turn_taking", "How it is decided whose turn it is.")

    @overload
    def tool(self, fn: Callable[..., Any], **options: Any) -> Tool: ...
    @overload
    def tool(self, fn: None = None, **options: Any) -> Callable[[Callable[..., Any]], Tool]: ...
    def tool(self, fn: Callable[..., Any] | None = None, **options: Any) -> Tool | Callable[[Callable[..., Any]], Tool]:
        """Decorator: add a function as a tool, or replace the tool of that name, from the next turn on."""
        if fn is None:
            return lambda fn: self.tool(fn, **options)
        made: Tool = tool(fn, **options)
        self.use(tools=(*(other for other in self.agent.tools if other.name != made.name), made))
        return made

    def __repr__(self) -> str:
        return f"<Session {self.name!r}: {self.state}, {len(self.turns)} turns>"

    def _ipython_display_(self) -> None:
        from patter_nb.console import display

        display(self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)


def _require_own_ears(agent: Agent, session: Session | None) -> None:
    """Raise when another live session hears with this agent's speech-to-text or detector: each keeps the sound of one person."""
    for other in tuple(_sessions):
        if other is session or other.is_over:
            continue
        for name, part, theirs in (("stt", agent.stt, other.stt), ("vad", agent.vad, other.vad), ("engine", agent.engine, other.engine)):
            if part is not None and part is theirs:
                raise PatterConfigError(
                    f"{name}={type(part).__name__} is in use by the session {other.name!r}, which is live.",
                    hint=f"Make one for each session: {name}={type(part).__name__}(...). Or end the other: await session.stop().",
                )


def _require_text(verb: str, text: object) -> None:
    if not isinstance(text, str) or not text.strip():
        raise PatterConfigError(f"{verb}() was given no text.", hint=f'For example: await session.{verb}("Hello!").')
