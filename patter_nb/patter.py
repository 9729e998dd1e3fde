"""The front door: describe an agent, and put it into conversation."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from patter_nb.agent import PARTS, Agent, Filler, Guardrail, PipelineHooks
from patter_nb.engines.base import Engine
from patter_nb.errors import PatterConfigError
from patter_nb.keywords import reject_unknown
from patter_nb.llm.base import LLMProvider
from patter_nb.llm.on_message import OnMessage, OnMessageLLM
from patter_nb.own_loop import is_own_loop, run_in_own_loop
from patter_nb.pipeline.turn_taking import TurnTaking
from patter_nb.pricing import Prices, Pricing
from patter_nb.session import Session
from patter_nb.stt.base import STT
from patter_nb.transports.base import Transport
from patter_nb.tts.base import TTS
from patter_nb.vad import with_ears
from patter_nb.vad.base import VAD

if TYPE_CHECKING:
    from patter_nb.tools.executor import DefaultToolExecutor
    from patter_nb.tools.tool import Tool

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GROQ_API_KEY", "CEREBRAS_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY")
"""Where the providers of language models look for their keys."""

logger = logging.getLogger("patter_nb")

_live: dict[str, Session] = {}
"""Sessions by name, so that a cell that is run again finds the one it had started instead of opening a second microphone."""


class Patter:
    """Makes agents and serves them.

    >>> phone = Patter()
    >>> agent = phone.agent("You are a friendly weather assistant.")

    `pricing` are prices of one's own, beside those that genai-prices keeps: {provider: {model: {"input": USD, "output": USD}}} for a
    million tokens, with "cache_read" and "cache_write" where they differ; for speech {"minute": USD} of sound, or {"characters": USD} for
    1,000. Raises `PatterConfigError` for what are no prices.
    """

    def __init__(self, *, pricing: Pricing | None = None) -> None:
        self._prices = Prices(pricing)

    def agent(  # noqa: PLR0913  # the parts of an agent, each a keyword with a default
        self,
        system_prompt: str = "",
        *,
        llm: LLMProvider | None = None,
        stt: STT | None = None,
        tts: TTS | None = None,
        engine: Engine | None = None,
        vad: VAD | None = None,
        tools: Iterable[Tool | Callable[..., Any]] = (),
        first_message: str = "",
        variables: Mapping[str, Any] | None = None,
        guardrails: Iterable[Guardrail] = (),
        text_transforms: Iterable[Callable[[str], str]] = (),
        hooks: PipelineHooks | None = None,
        executor: DefaultToolExecutor | None = None,
        mcp_servers: Iterable[str | Mapping[str, Any]] = (),
        turn_taking: TurnTaking | None = None,
        error_message: str = "",
        filler: str | Filler | None = None,
        language: str = "en",
        **unknown: Any,
    ) -> Agent:
        """Describe an agent; see `Agent` for its parts. Opens nothing.

        Raises `TypeError` for an unknown keyword, `PatterConfigError` for a part of the wrong kind.
        """
        reject_unknown("agent", unknown, PARTS)
        if engine is not None and llm is not None:
            _warn_of_llm()
        if engine is not None and (text_transforms or (hooks is not None and hooks != PipelineHooks())):
            _warn_of_hooks()
        return Agent(
            system_prompt=system_prompt,
            llm=llm,
            stt=stt,
            tts=tts,
            engine=engine,
            vad=vad,
            tools=tools,  # type: ignore[arg-type]  # Agent makes tools of functions
            first_message=first_message,
            variables={} if variables is None else variables,
            guardrails=guardrails,  # type: ignore[arg-type]  # Agent checks the items and keeps a tuple
            text_transforms=text_transforms,  # type: ignore[arg-type]  # likewise
            hooks=PipelineHooks() if hooks is None else hooks,
            executor=executor,
            mcp_servers=mcp_servers,  # type: ignore[arg-type]  # Agent describes them
            turn_taking=TurnTaking() if turn_taking is None else turn_taking,
            error_message=error_message,
            filler=filler,  # type: ignore[arg-type]  # Agent makes a Filler of text
            language=language,
        )

    def serve(
        self,
        agent: Agent,
        *,
        llm: LLMProvider | None = None,
        on_message: OnMessage | None = None,
        transport: Transport | None = None,
        name: str = "main",
        runtime: Literal["kernel", "thread"] = "kernel",
        **unknown: Any,
    ) -> Serving:
        """Put an agent into conversation: `session = await phone.serve(agent)`, or `async with phone.serve(agent) as session`.

        `transport` brings the person's sound and text. Without one it is the console in a notebook that can show it; elsewhere the person
        types by `session.ask`. `llm` is used where the agent names none, `on_message` (a function of one message, or a URL: see
        `patter_nb.llm.on_message`) in place of any. With neither it is `OpenAILLM()` where OPENAI_API_KEY is set, else `LocalLLM()`
        where it is installed. `runtime` "kernel" runs the session in the loop that awaits this;
        "thread" in one of its own, so that it goes on while a cell computes. A session of the same `name` that is still live adopts the
        agent and keeps its history.
        It returns as soon as the session is live; a script then awaits `session.wait()`.
        Raises `PatterConfigError`, at once, for what cannot be served, or not over this transport.
        """
        reject_unknown("serve", unknown, ("llm", "on_message", "transport", "name", "runtime"))
        if runtime not in ("kernel", "thread"):
            raise PatterConfigError(f"runtime={runtime!r:.80} is unknown.", hint='Use runtime="kernel" or runtime="thread".')
        if not isinstance(name, str) or not name:
            raise PatterConfigError(f"A session cannot be named {name!r:.80}.", hint='Use text, for example name="main".')
        if transport is not None and not isinstance(transport, Transport):
            raise PatterConfigError(
                f"transport is {transport!r:.80}, not a transport.", hint='For example WavTransport("question.wav", "answer.wav").'
            )
        if not isinstance(agent, Agent):
            raise PatterConfigError(f"serve() was given {type(agent).__name__}, not an agent.", hint="Make one: Patter().agent(...).")
        if llm is not None and agent.llm is not None:
            raise PatterConfigError(
                "Two language models: the agent has one, and serve() was given another.", hint="Pass llm= to one of them only."
            )
        if on_message is not None and (llm is not None or agent.llm is not None):
            whose = "serve() was given another" if llm is not None else "the agent has a language model"
            raise PatterConfigError(f"Two that answer: on_message=, and {whose}.", hint="Pass llm= or on_message=, not both.")
        if agent.engine is not None and (llm is not None or on_message is not None):
            _warn_of_llm()
        _require_free(name, transport, in_own_loop=runtime == "thread")
        agent, running = _complete(agent, llm if on_message is None else OnMessageLLM(on_message)), _running(name)
        carrier = transport if running is None else running.transport
        if carrier is not None:
            carrier.check(agent)
        serve = _serve if runtime == "kernel" else _serve_apart
        starting = serve(agent, transport, name, self._prices)
        starting.__qualname__ = "Patter.serve"  # type: ignore[attr-defined]  # named in the warning, if nobody awaits it
        return Serving(starting)


class Serving(Coroutine[Any, Any, Session]):
    """A session about to start: await it, or use it as an async context manager, which stops the session at the end."""

    def __init__(self, starting: Coroutine[Any, Any, Session]) -> None:
        self._starting = starting
        self._session: Session | None = None

    def __await__(self) -> Generator[Any, Any, Session]:
        return self._starting.__await__()

    def send(self, value: Any) -> Any:
        return self._starting.send(value)

    def throw(self, typ: Any, val: Any = None, tb: TracebackType | None = None) -> Any:
        return self._starting.throw(typ, val, tb) if val is not None or tb is not None else self._starting.throw(typ)

    def close(self) -> None:
        self._starting.close()

    async def __aenter__(self) -> Session:
        self._session = await self._starting
        return self._session

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._session is not None:
            await self._session.stop()


@cache
def _warn_of_llm() -> None:
    """Said once: it is no mistake to keep a model at hand."""
    logger.warning("engine= hears, thinks and speaks by itself: llm= is ignored beside it, and so is on_message=.")


@cache
def _warn_of_hooks() -> None:
    """Said once, since what somebody wrote does not run."""
    logger.warning(
        "engine= makes sound of its own words: hooks and text_transforms do not run beside it, but after_transcribe and before_llm "
        "for what is typed. Guardrails see typed words before they are answered, and the engine's words while they are spoken."
    )


def _complete(agent: Agent, llm: LLMProvider | None) -> Agent:
    """The agent with what it needs to run: the language model that was asked for or is here, and a detector for its ears."""
    if llm is not None:
        agent = agent.replace(llm=llm)
    if agent.engine is not None:
        return agent
    return with_ears(agent if agent.llm is not None else agent.replace(llm=_default_llm()))


def _default_llm() -> LLMProvider:
    """OpenAI's where its key is set, else the local one. Raises `PatterConfigError` where there is neither."""
    if os.environ.get("OPENAI_API_KEY", "").strip():
        from patter_nb.llm.openai import OpenAILLM

        return OpenAILLM()
    from patter_nb.llm.local import LocalLLM, local_model_is_installed

    if local_model_is_installed():
        return LocalLLM()
    hint = (
        f"Set the key of a provider: {KEYS[0]} is enough; with another ({', '.join(KEYS[1:-2])}, {' or '.join(KEYS[-2:])}) pass its llm=. "
        'Without a key: llm=LocalLLM() after pip install "patter-nb[local]" (in a clone: -e ".[local]") and patter-nb download, '
        "llm=ScriptedLLM([...]) from patter_nb.testing for a test, or on_message=your_function."
    )
    raise PatterConfigError("The agent has no language model.", hint=hint)


def _running(name: str) -> Session | None:
    """The session of that name, if there is one that is not over."""
    session = _live.get(name)
    return None if session is None or session.is_over else session


def live_session(name: str | None = None) -> Session:
    """The session of that name; without one "main", or the only one. Raises `PatterConfigError` where it is not live, or not clear."""
    live = [one for one in _live.values() if not one.is_over]
    found = next((one for one in live if one.name == (name or "main")), live[0] if not name and len(live) == 1 else None)
    if found is None:
        others = f"Live are {', '.join(repr(one.name) for one in live)}." if live else "Start one: session = await Patter().serve(agent)."
        said = f"No session named {name!r:.80} is live." if name else "Several sessions are live." if live else "No session is live."
        raise PatterConfigError(said, hint=others)
    return found


def _require_free(name: str, transport: Transport | None, *, in_own_loop: bool) -> None:
    """Raise unless a session `name` may start, or go on, with `transport` in such a loop."""
    session = _running(name)
    if session is None:
        return
    if in_own_loop != is_own_loop(session.loop):
        raise PatterConfigError(
            f'The session {name!r} is live, with runtime="{"kernel" if in_own_loop else "thread"}".',
            hint="End it first: await session.stop(). Or give this one a name of its own: serve(agent, runtime=..., name=...).",
        )
    if transport is None or transport is session.transport:
        return
    raise PatterConfigError(
        f"The session {name!r} is live, with another transport.",
        hint="End it first: await session.stop(). Or give this one a name of its own: serve(agent, transport=..., name=...).",
    )


async def _serve_apart(agent: Agent, transport: Transport | None, name: str, prices: Prices) -> Session:
    """The same in a loop of its own."""
    return await run_in_own_loop(_serve(agent, transport, name, prices))


async def _serve(agent: Agent, transport: Transport | None, name: str, prices: Prices) -> Session:
    _require_free(name, transport, in_own_loop=is_own_loop(asyncio.get_running_loop()))
    session = _running(name)
    if session is not None:
        await session.adopt(agent)
        return session
    transport = transport if transport is not None else _default_transport()
    session = _live[name] = Session(agent, transport=transport, name=name, prices=prices)
    session.on_closed(lambda: _live.pop(name, None) if _live.get(name) is session else None)
    await session.start()
    return session


def _default_transport() -> Transport:
    """The console, where this is a notebook that can show it; else a keyboard."""
    from patter_nb import console

    if console.is_here():
        return console.new_transport()
    from patter_nb.transports.keyboard import KeyboardTransport

    return KeyboardTransport()
