"""What a server is to say, in steps that belong to no vendor; each vendor's format says them in its own words.

A reply is one step or a list of them, sent in order. What a vendor adds of itself (roles, ids, block starts, a finish reason, the end of
the stream) is added by its format, so that a script holds only what a test is about.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from patter_nb.testing.scripted import Call, Hold

if TYPE_CHECKING:
    from patter_nb.testing.wire.http import WireRequest


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of the model's thinking. `signature` is Anthropic's and Gemini's proof of it; `key` is what OpenAI's relatives call it."""

    text: str
    signature: str | None = None
    key: str = "reasoning"


@dataclass(frozen=True, slots=True)
class CallFragment:
    """A piece of a tool call, as OpenAI and Anthropic send them; pieces of one `index` belong together and may be interleaved.

    What is None is not sent, "" is sent empty. Anthropic's blocks always have an id, so there None makes one. Gemini sends a call in one
    piece: it is put together from the fragments that follow one another, so their `arguments` must be JSON. `signature` is Gemini's.
    """

    index: int | None
    id: str | None = None
    name: str | None = None
    arguments: str | None = None
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens. `input` leaves out those that were read from a cache or written to it. `details=False` sends null for all details.

    OpenAI sends usage only to a request that asks for it (`stream_options`), behind the finish, with empty `choices`.
    """

    input: int
    output: int
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    details: bool = True


@dataclass(frozen=True, slots=True)
class Finish:
    """Why the model stops: "stop", "tool_calls", "length", "content_filter", or a vendor's own word. Added to a reply that has none."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model declines: OpenAI's field `refusal`, Anthropic's stop reason "refusal", Gemini's finish reason "PROHIBITED_CONTENT"."""

    text: str = "I can't help with that."


@dataclass(frozen=True, slots=True)
class Blocked:
    """The prompt is refused before any output: an error of status 400, or Gemini's `promptFeedback`. It is a whole reply."""

    reason: str = "SAFETY"


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """A sign of life without content: a comment, Anthropic's `ping`, or an event of Gemini's (whose client takes no comments)."""


@dataclass(frozen=True, slots=True)
class StreamError:
    """An error within a stream that began with status 200. `code` is the vendor's own word for it, if not the usual one."""

    status: int = 529
    message: str = "Overloaded"
    code: str | None = None


@dataclass(frozen=True, slots=True)
class HttpError:
    """An answer of another status, with a body as the vendor forms it, or `body`. It is a whole reply."""

    status: int
    message: str = "It did not work."
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """The answer breaks off: "close" closes the socket, "reset" tears it down, "end" ends the body in good order without the rest."""

    how: Literal["close", "reset", "end"] = "close"


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing more comes, no finish either, until the client closes. As the first step it comes before the status line."""


@dataclass(frozen=True, slots=True)
class End:
    """Where the format's own end stands (`[DONE]`, `message_stop`), if the reply goes on behind it. Added to a reply that has none."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event with this data, framed as the vendor frames its own. `name` is for the field `event`."""

    data: Mapping[str, Any]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes of the body as they are, in one piece."""

    data: bytes


Said: TypeAlias = str | Call | CallFragment | Reasoning | Usage | Finish | Refusal | Blocked | KeepAlive | StreamError | End | Event
"""What a format has words for. A text is one piece of the answer."""
Step: TypeAlias = Said | Raw | Hold | Stall | Cut
"""A `Hold` before everything else comes before the status line."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply with a say in how it is sent.

    `pieces` is "events" (each its own write and HTTP chunk), "bytes" (each byte its own) or "whole" (all at once, up to a hold).
    `cut_after` closes the socket after so many bytes of the body. `headers` are added.
    """

    steps: Step | Sequence[Step]
    pieces: Literal["events", "bytes", "whole"] = "events"
    cut_after: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Answer: TypeAlias = Step | HttpError | Reply | Sequence[Step]
Scripted: TypeAlias = Answer | Callable[["WireRequest"], Answer]

_FINAL = (Finish, StreamError, Cut, Refusal, Blocked)
"""Where one of these stands, no finish is missing."""


def as_reply(answer: Answer) -> Reply:
    """`answer` in its full form; an error is not one."""
    if isinstance(answer, Reply):
        return answer
    return Reply(answer)  # type: ignore[arg-type]  # an HttpError never comes here


def complete(steps: Step | Sequence[Step], *, id_prefix: str | None) -> list[Step]:
    """The steps with calls as fragments, and with a finish and an end where none is said.

    >>> complete(["Hi", Usage(3, 1)], id_prefix=None)
    ['Hi', Finish(reason='stop'), Usage(input=3, output=1, cache_read=0, cache_write=0, reasoning=0, details=True), End()]
    """
    listed: Iterable[Step] = steps if isinstance(steps, Sequence) and not isinstance(steps, str) else [steps]
    out: list[Step] = []
    for step in listed:
        out.extend(_fragments(step, _next_index(out), id_prefix) if isinstance(step, Call) else [step])
    ended = any(isinstance(step, (End, Cut, StreamError, Blocked)) for step in out)
    if not ended and out and isinstance(out[-1], Stall):
        return out
    if not any(isinstance(step, _FINAL) for step in out):
        place = next((n for n, step in enumerate(out) if isinstance(step, End)), len(out))
        while place and isinstance(out[place - 1], Usage):
            place -= 1
        out.insert(place, Finish("tool_calls" if any(isinstance(step, CallFragment) for step in out) else "stop"))
    return out if ended else [*out, End()]


def _next_index(steps: Iterable[Step]) -> int:
    return max((step.index for step in steps if isinstance(step, CallFragment) and step.index is not None), default=-1) + 1


def _fragments(call: Call, index: int, id_prefix: str | None) -> list[CallFragment]:
    """A call as vendors send it: who is called, then the arguments in two pieces."""
    text = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments, ensure_ascii=False)
    middle = len(text) // 2
    parts = [part for part in (text[:middle], text[middle:]) if part]
    start = CallFragment(index, None if id_prefix is None else f"{id_prefix}_{index}", call.name, "")
    return [start, *(CallFragment(index, arguments=part) for part in parts)]
