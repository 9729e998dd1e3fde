"""An agent is a frozen description: what it is told, which providers it uses, how it behaves. It opens no socket and runs nothing."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from inspect import getattr_static
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from patter_nb.engines.base import Engine
from patter_nb.errors import PatterConfigError
from patter_nb.keywords import reject_unknown
from patter_nb.llm.base import LLMProvider, Message, name_of
from patter_nb.pipeline.turn_taking import TurnTaking, is_duration
from patter_nb.stt.base import STT
from patter_nb.tools.mcp_server import McpServer, mcp_servers
from patter_nb.tools.tool import Tool
from patter_nb.tts.base import TTS
from patter_nb.vad.base import VAD

if TYPE_CHECKING:
    from patter_nb.tools.executor import DefaultToolExecutor

DEFAULT_REPLACEMENT = "I'm sorry, I can't help with that."


@dataclass(frozen=True, slots=True)
class Guardrail:
    """Replaces what must not be said, or (on="input") not be asked.

    A piece of text is blocked when it holds one of `blocked_terms`, in any case, also when the term arrives in fragments or
    stretches over two sentences; or when `check(text)` is true (plain or async). `replacement` is spoken instead, and is what
    history keeps. On input the language model never sees the words. An exception in `check` ends the turn: a guardrail that
    fails does not let anything through.
    """

    name: str
    blocked_terms: Sequence[str] = field(default=(), kw_only=True)
    check: Callable[[str], bool | Awaitable[bool]] | None = field(default=None, kw_only=True)
    replacement: str = field(default=DEFAULT_REPLACEMENT, kw_only=True)
    on: Literal["output", "input"] = field(default="output", kw_only=True)

    def __post_init__(self) -> None:
        if not self.name:
            raise PatterConfigError("A guardrail needs a name.", hint='For example Guardrail("no prices", blocked_terms=["price"]).')
        if isinstance(self.blocked_terms, str):
            raise PatterConfigError(
                f"blocked_terms of guardrail {self.name!r} is one string.", hint=f"Use a list: [{self.blocked_terms!r}]."
            )
        if self.on not in ("output", "input"):
            raise PatterConfigError(f"Guardrail {self.name!r} is on {self.on!r}.", hint='Use on="output" or on="input".')
        if self.check is not None and not callable(self.check):
            raise PatterConfigError(
                f"check of guardrail {self.name!r} is no function.", hint="Pass a function of the text, plain or async."
            )
        if not isinstance(self.replacement, str) or not all(isinstance(term, str) for term in self.blocked_terms):
            hint = "Terms and replacement are text; for anything else use check=."
            raise PatterConfigError(f"Guardrail {self.name!r} has a term or a replacement that is no text.", hint=hint)
        terms = tuple(" ".join(term.casefold().split()) for term in self.blocked_terms)
        if "" in terms:
            raise PatterConfigError(f"Guardrail {self.name!r} has an empty blocked term, which is in every text.", hint="Remove it.")
        object.__setattr__(self, "blocked_terms", terms)


@dataclass(frozen=True, slots=True)
class HookContext:
    """What a hook may know: the session's name, the turn's number, and the conversation so far (OpenAI-shaped, not to be changed)."""

    call_id: str
    turn: int | None
    history: tuple[Message, ...]


Hook: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterLLM:
    """Hooks on what the model says: `on_chunk(text)` (plain, per chunk), `on_sentence(text, ctx)`, `on_response(text, ctx)`.

    `on_response` needs the whole answer and so gives up streaming for it.
    """

    on_chunk: Callable[[str], str] | None = None
    on_sentence: Hook | None = None
    on_response: Hook | None = None

    def __post_init__(self) -> None:
        _require_functions(self, ("on_chunk", "on_sentence", "on_response"))


def _require_functions(hooks: object, names: tuple[str, ...]) -> None:
    for name in names:
        hook = getattr(hooks, name)
        if hook is not None and not callable(hook):
            raise PatterConfigError(f"The hook {name} is {type(hook).__name__}, not a function.", hint="Pass a function, plain or async.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineHooks:
    """Functions called at the joints of the pipeline, plain or async, each with a `HookContext` last.

    before_send_to_stt(audio: bytes, ctx)            PCM16 16 kHz of one frame; None drops it
    after_transcribe(text, ctx)                      None: no turn
    before_llm(messages, ctx)                        the messages to send instead; None keeps them
    after_llm                                        an `AfterLLM`, or a dict of its three names
    before_synthesize(text, ctx)                     None skips the piece
    after_synthesize(audio: bytes, text, ctx)        None drops the block

    An exception in a hook ends the turn and is reported; it is never swallowed.
    """

    before_send_to_stt: Hook | None = None
    after_transcribe: Hook | None = None
    before_llm: Hook | None = None
    after_llm: AfterLLM = field(default_factory=AfterLLM)
    before_synthesize: Hook | None = None
    after_synthesize: Hook | None = None

    def __post_init__(self) -> None:
        _require_functions(self, ("before_send_to_stt", "after_transcribe", "before_llm", "before_synthesize", "after_synthesize"))
        if isinstance(self.after_llm, Mapping):
            known = [f.name for f in fields(AfterLLM)]
            reject_unknown("after_llm", self.after_llm, known)
            object.__setattr__(self, "after_llm", AfterLLM(**self.after_llm))
        elif not isinstance(self.after_llm, AfterLLM):
            raise PatterConfigError("after_llm is neither an AfterLLM nor a dict.", hint='For example after_llm={"on_sentence": shorten}.')


@dataclass(frozen=True, slots=True)
class Filler:
    """Spoken once in a turn when nothing was heard `after_ms` after the person had finished."""

    text: str
    after_ms: float = 4000.0

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not self.text.strip() or not is_duration(self.after_ms):
            raise PatterConfigError(
                f"{self!r} says nothing, or at no time.", hint='For example Filler("One moment, please.", after_ms=4000).'
            )


STAGE_METHODS: Mapping[str, tuple[str, ...]] = {
    "llm": ("stream",),
    "stt": ("open", "push", "transcripts", "finalize", "aclose"),
    "tts": ("synthesize", "aclose"),
    "vad": ("probability", "reset"),
    "engine": ("open", "push", "send_text", "say", "send_tool_result", "update", "cancel", "truncate", "events", "aclose"),
}
"""What a provider of each stage must be able to do; the protocols say what it means."""
STAGE_PROPERTIES: Mapping[str, tuple[str, ...]] = {"tts": ("format",), "engine": ("input_format", "output_format")}
"""What it must have besides."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Agent:
    """A frozen, validated description of an agent. Made by `Patter().agent(...)`; changed by `replace`.

    `engine` hears, thinks and speaks. Without one `llm` answers, and `stt`, `tts` and `vad` make it speech (an agent without them is
    typed to and answers in text); beside one they rest.
    `{name}` in `system_prompt` and `first_message` is filled from `variables`. `tools` are `Tool`s or plain functions.
    `mcp_servers` lend their tools while a session lives: each is a URL, {"url", "headers", "allow_hosts", "name"} (streamable HTTP) or
    {"command", "args", "env", "name"} (started, and talked to by its pipes); it takes `pip install "patter-nb[mcp]"`.
    `error_message` is spoken when an answer fails, `filler` (text or `Filler`) when it is slow.
    """

    system_prompt: str = ""
    llm: LLMProvider | None = None
    stt: STT | None = None
    tts: TTS | None = None
    engine: Engine | None = None
    vad: VAD | None = None
    tools: tuple[Tool, ...] = ()
    first_message: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict)
    guardrails: tuple[Guardrail, ...] = ()
    text_transforms: tuple[Callable[[str], str], ...] = ()
    hooks: PipelineHooks = field(default_factory=PipelineHooks)
    executor: DefaultToolExecutor | None = None
    mcp_servers: tuple[McpServer, ...] = ()
    turn_taking: TurnTaking = field(default_factory=TurnTaking)
    error_message: str = ""
    filler: Filler | None = None
    language: str = "en"

    def __post_init__(self) -> None:
        for name in ("system_prompt", "first_message", "error_message", "language"):
            _expect(name, getattr(self, name), str, "text")
        for stage, methods in STAGE_METHODS.items():
            _expect_stage(stage, getattr(self, stage), methods)
        _expect("variables", self.variables, Mapping, "a dict")
        _expect("turn_taking", self.turn_taking, TurnTaking, "a TurnTaking(...)")
        object.__setattr__(self, "variables", MappingProxyType(dict(self.variables)))
        object.__setattr__(self, "tools", _tools(self.tools))
        object.__setattr__(self, "mcp_servers", mcp_servers(self.mcp_servers))
        object.__setattr__(self, "guardrails", _all_of("guardrails", self.guardrails, Guardrail))
        object.__setattr__(self, "text_transforms", _callables(self.text_transforms))
        object.__setattr__(self, "hooks", PipelineHooks() if self.hooks is None else self.hooks)
        _expect("hooks", self.hooks, PipelineHooks, "a PipelineHooks(...)")
        if isinstance(self.filler, str):
            object.__setattr__(self, "filler", Filler(self.filler) if self.filler.strip() else None)
        elif self.filler is not None:
            _expect("filler", self.filler, Filler, "text or a Filler(text, after_ms)")
        if not all(self.executor is None or callable(getattr(self.executor, method, None)) for method in ("execute", "having")):
            raise PatterConfigError(
                "executor has no method execute, or no method having.", hint="Pass a DefaultToolExecutor or a subclass of it."
            )

    def replace(self, **changes: Any) -> Agent:
        """The same agent with some parts changed. An unknown part is a `TypeError`, a wrong one a `PatterConfigError`."""
        reject_unknown("replace", changes, PARTS)
        return replace(self, **changes)

    def render(self, text: str) -> str:
        """`text` with `{name}` filled in for every name in `variables`; other braces stay as they are."""
        names = "|".join(map(re.escape, self.variables))
        return re.sub(f"{{({names})}}", lambda found: str(self.variables[found[1]]), text) if self.variables else text

    def parts(self) -> dict[str, str]:
        """Each stage that runs, as "provider" or "provider model", for logs and views."""
        cascade = {"llm": self.llm, "stt": self.stt, "tts": self.tts, "vad": self.vad}
        stages: Mapping[str, object] = cascade if self.engine is None else {"engine": self.engine}
        return {name: " ".join(word for word in name_of(part) if word) for name, part in stages.items() if part is not None}

    def __repr__(self) -> str:
        """Names only: a provider's own repr might hold its key."""
        told = [f"{self.system_prompt[:40]!r}", *(f"{stage}={part!r}" for stage, part in self.parts().items())]
        tools = [f"tools=[{', '.join(tool.name for tool in self.tools)}]"] if self.tools else []
        return f"Agent({', '.join(told + tools)})"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)


PARTS: tuple[str, ...] = tuple(f.name for f in fields(Agent))
"""The names of an agent's parts: the keywords of `agent()`, `replace()` and `use()`."""


def describe_change(before: Agent, after: Agent) -> dict[str, tuple[str, str]]:
    """Which parts differ, as short text before and after; providers go by name, so that no key is ever in it."""
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in PARTS)
    return {name: (_brief(old), _brief(new)) for name, old, new in pairs if old != new}


def _brief(value: object) -> str:
    match value:
        case None | str() | int() | float() | TurnTaking() | Filler():
            return str(value)
        case tuple():
            return ", ".join(item.name if isinstance(item, (Guardrail, McpServer)) else _brief(item) for item in value) or "none"
        case Tool():
            taken = (value.parameters or {}).get("properties", {})
            return f"{value.name}({', '.join(f'{name}: {_kind(schema)}' for name, schema in taken.items())})"
        case Mapping():
            return ", ".join(map(str, value)) or "none"
        case _:
            return " ".join(word for word in name_of(value) if word)


def _kind(schema: object) -> str:
    """A parameter's type, as JSON schema names it."""
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    return kind if isinstance(kind, str) else "any"


def _expect(name: str, value: object, kind: type, what: str) -> None:
    if not isinstance(value, kind):
        raise PatterConfigError(f"{name} is {type(value).__name__}, not {what}.", hint=f"Pass {what}.")


def _expect_stage(name: str, value: object, methods: tuple[str, ...]) -> None:
    """A property is looked for and not read, since that may load a model; a wrapper that has its names from elsewhere is believed."""
    if value is None:
        return
    if isinstance(value, type):
        raise PatterConfigError(f"{name} is the class {value.__name__}, not an instance of it.", hint=f"Write {name}={value.__name__}().")
    missing = [method for method in methods if not callable(getattr(value, method, None))]
    if not hasattr(type(value), "__getattr__"):
        missing += [held for held in STAGE_PROPERTIES.get(name, ()) if getattr_static(value, held, missing) is missing]
    if missing:
        what = f"an object with {', '.join(methods)}"
        if name == "llm" and isinstance(value, str):
            what = f"the object: OpenAILLM(model={value!r}), or another vendor's"
        raise PatterConfigError(f"{name} is {type(value).__name__}, which has no {' and no '.join(missing)}.", hint=f"Pass {what}.")


def _all_of(name: str, values: object, kind: type) -> tuple[Any, ...]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise PatterConfigError(f"{name} is {type(values).__name__}, not a list.", hint=f"Pass a list of {kind.__name__}.")
    items = tuple(values)
    for item in items:
        _expect(f"an item of {name}", item, kind, f"a {kind.__name__}")
    return items


def _tools(values: object) -> tuple[Tool, ...]:
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise PatterConfigError(f"tools is {type(values).__name__}, not a list.", hint="Pass a list of functions or Tool objects.")
    from patter_nb.tools.tool import tool

    made: dict[str, Tool] = {}
    for value in values:
        if not callable(value):
            raise PatterConfigError(f"An item of tools is {value!r:.80}, no function.", hint="Pass functions or Tool objects.")
        item = value if isinstance(value, Tool) else tool(value)
        if item.name in made:
            raise PatterConfigError(f"Two tools are named {item.name!r}.", hint="Give one of them another name: @tool(name=...).")
        made[item.name] = item
    return tuple(made.values())


def _callables(values: object) -> tuple[Callable[[str], str], ...]:
    if callable(values):
        return (values,)
    if not isinstance(values, Iterable):
        raise PatterConfigError(
            f"text_transforms is {type(values).__name__}, not a list of functions.", hint="Pass functions that take and return text."
        )
    items = tuple(values)
    for item in items:
        if not callable(item):
            raise PatterConfigError(f"{item!r} in text_transforms is no function.", hint="Pass functions that take and return text.")
    return items
