"""A tool is a plain function that a language model may call: `@tool` reads from it all that the model has to know."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from patter_nb.errors import PatterConfigError, ToolError
from patter_nb.tools.outcome import plain
from patter_nb.tools.signature import Handler, ToolContext, describe, summary

if TYPE_CHECKING:
    from patter_nb.llm.base import ToolSpec

__all__ = ["Tool", "ToolContext", "tool"]

Example: TypeAlias = str | tuple[str, Mapping[str, Any] | None]
"""What a person says when this tool is meant, alone or with the arguments that it should be called with."""


@dataclass(frozen=True, slots=True, repr=False)
class Tool:
    """A function, or a URL, that a language model may call.

    name         1 to 64 letters, digits, _ or -; the model calls the tool by it
    description  what the tool does and when to use it; the docstring's first paragraph, if left out
    parameters   JSON schema of the arguments; read from the handler's signature, if left out (a webhook then takes none)
    handler      the function, plain or async. A plain one runs on a thread of its own
    webhook_url  instead of a handler: where the call is posted as JSON {tool, arguments, call_id, caller, callee, attempt}, and what
                 answers with JSON, at most 1 MiB. It must be public, or named in allow_hosts of the executor
    examples     for small models: strings, or (text, arguments) pairs
    timeout_s    seconds that one call may take, kept within 0.1 and 300; None leaves it to the executor

    A parameter named `ctx`, or annotated `ToolContext`, is filled in and not part of the schema; a function of literally
    (arguments, call_context) receives the arguments as one dict. Calling the tool calls the function.

    Raises `PatterConfigError` for a bad name, for neither or both of handler and webhook_url, a bad schema, and a signature that no
    schema can describe.

    >>> shout = Tool("shout", "Say it loudly.", handler=lambda text: text.upper())
    >>> shout, shout("hello")
    (Tool(shout(text)), 'HELLO')
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] | None = field(default=None, hash=False)
    handler: Callable[..., Any] | None = None
    webhook_url: str | None = None
    examples: Sequence[Example] = field(default=(), hash=False)
    timeout_s: float | None = None
    _handler: Handler = field(init=False, compare=False)
    _spec: ToolSpec = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", self.name):
            raise PatterConfigError(
                f"{self.name!r} cannot be the name of a tool.", hint="Take 1 to 64 letters, digits, _ or -: @tool(name='get_weather')."
            )
        function = _function(self.name, self.handler, self.webhook_url)
        if not isinstance(self.description, str):
            raise PatterConfigError(f"The description of the tool {self.name} is no text.", hint='Write Tool("name", "what it does", ...).')
        if self.parameters is not None and not isinstance(self.parameters, Mapping):
            raise PatterConfigError(f"The parameters of the tool {self.name} are no dict.", hint="Pass a JSON schema, or leave them out.")
        if self.timeout_s is not None and not (isinstance(self.timeout_s, (int, float)) and self.timeout_s > 0):
            raise PatterConfigError(f"timeout_s of the tool {self.name} is {self.timeout_s!r}.", hint="Pass seconds above 0, or None.")
        parameters = {"type": "object", "properties": {}} if self.parameters is None and self.handler is None else self.parameters
        handler = describe(self.name, function, copy.deepcopy(parameters))
        description = self.description or (summary(function) if self.handler is not None else "")
        told = {"name": self.name, "description": description, "parameters": dict(handler.schema)}
        spec: ToolSpec = {"type": "function", "function": told}
        if self.examples:
            spec["x-examples"] = _spoken(self.name, self.examples, handler)
        object.__setattr__(self, "description", description)
        object.__setattr__(self, "parameters", handler.schema)
        object.__setattr__(self, "examples", tuple(self.examples))
        object.__setattr__(self, "_handler", handler)
        object.__setattr__(self, "_spec", copy.deepcopy(spec))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """The function, so that `inspect.signature` and `help` show its own signature; a webhook has none."""
        if self.handler is None:
            raise AttributeError(f"The tool {self.name} is a webhook: a DefaultToolExecutor calls it.")
        return self._handler.function

    @property
    def is_async(self) -> bool:
        """Whether calling the function returns at once; one that does not is called on a thread."""
        return self._handler.is_async

    def bind(self, arguments: Mapping[str, Any], ctx: ToolContext) -> Callable[[], Any]:
        """The function's call with `arguments`, checked and coerced; of a webhook, what gives them. Raises `ToolCallError`."""
        return self._handler.bind(arguments, ctx)

    def spec(self) -> ToolSpec:
        """The tool as a provider gets it: OpenAI's shape, with "x-examples" beside it for `LocalLLM`.

        From https://platform.openai.com/docs/guides/function-calling.
        """
        return copy.deepcopy(self._spec)

    def __repr__(self) -> str:
        return f"Tool({self.name}({', '.join(self._handler.schema.get('properties', ()))}))"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)


def _function(name: str, handler: object, webhook_url: object) -> Callable[..., Any]:
    if handler is not None and webhook_url is not None:
        raise PatterConfigError(f"The tool {name} has both a handler and a webhook_url.", hint="Pass one of them.")
    if callable(handler):
        return handler
    if handler is not None or webhook_url is None:
        hint = 'Pass handler=function, or write @tool above it; or pass webhook_url="https://...".'
        raise PatterConfigError(f"The tool {name} has no handler.", hint=hint)
    if not isinstance(webhook_url, str) or not re.match(r"https?://[^/]", webhook_url, re.IGNORECASE):
        raise PatterConfigError(f"webhook_url of the tool {name} is {webhook_url!r:.80}.", hint="Write https://host/path.")
    return _posted


def _posted(arguments: dict[str, Any], call_context: ToolContext) -> dict[str, Any]:
    """What a webhook is sent of the arguments, once they are checked."""
    return arguments


@overload
def tool(
    fn: Callable[..., Any],
    *,
    name: str | None = None,
    description: str | None = None,
    examples: Sequence[Example] = (),
    timeout_s: float | None = None,
) -> Tool: ...
@overload
def tool(
    fn: None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    examples: Sequence[Example] = (),
    timeout_s: float | None = None,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    fn: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    examples: Sequence[Example] = (),
    timeout_s: float | None = None,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a `Tool` of a function: `@tool`, `@tool(name=...)` or `tool(function, ...)`.

    Name, description and parameters come from the function's name, docstring (Google, NumPy or Sphinx style) and type hints;
    what is given here goes before them. Raises `PatterConfigError` as `Tool` does.

    >>> @tool
    ... def set_timer(minutes: int) -> str:
    ...     '''Set a timer.'''
    ...     return f"{minutes} minutes, starting now."
    >>> set_timer.spec()["function"]["parameters"]["properties"]
    {'minutes': {'type': 'integer'}}
    """
    given: dict[str, Any] = {"name": name, "description": description, "timeout_s": timeout_s}
    given = {key: value for key, value in given.items() if value is not None} | ({"examples": examples} if examples else {})

    def make(function: Callable[..., Any]) -> Tool:
        if isinstance(function, Tool):
            return replace(function, **given)
        return Tool(**{"name": getattr(function, "__name__", ""), "handler": function, **given})

    return make if fn is None else make(fn)


def _spoken(name: str, examples: Sequence[Example], handler: Handler) -> list[dict[str, Any]]:
    """The examples in wire form, their arguments as JSON has them, checked as a call's are; None where none were given."""
    spoken: list[dict[str, Any]] = []
    for example in examples:
        match example:
            case str() if not isinstance(examples, str):
                spoken.append({"text": example, "arguments": None})
            case [str(text), Mapping() | None as arguments]:
                spoken.append({"text": text, "arguments": arguments if arguments is None else _checked(name, arguments, handler)})
            case _:
                raise PatterConfigError(
                    f"The tool {name} has the example {example!r:.80}.",
                    hint='Give a list of text, or of pairs: ("five minutes, please", {"minutes": 5}).',
                )
    return spoken


def _checked(name: str, arguments: Mapping[str, Any], handler: Handler) -> Mapping[str, Any]:
    try:
        sent: dict[str, Any] = json.loads(json.dumps(arguments, default=plain))
        handler.check(sent)
    except (ToolError, TypeError, ValueError) as error:
        raise PatterConfigError(f"An example of the tool {name} could not be called: {error}", hint="Correct its arguments.") from error
    return sent
