"""One request to a language model outside any session: what the judge and the simulated caller stand on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from patter_nb.errors import PatterError
from patter_nb.llm.base import LLMProvider, Message, ToolSpec, as_chunk, costs_of, name_of, open_stream
from patter_nb.llm.rounds import Round, ToolRequest, requests_of, take, verdict
from patter_nb.tasks import closing
from patter_nb.turn import LLMRequest


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: words and calls."""

    text: str
    calls: tuple[ToolRequest, ...]


async def ask(llm: LLMProvider, messages: Sequence[Message], costs: list[Decimal | None], tools: Sequence[ToolSpec] = ()) -> Answer:
    """The answer to OpenAI-shaped `messages`. What it cost in USD, also where it is none, is added to `costs`; None: no price is known.

    Raises what the provider does, `MalformedStream` for nothing, `TruncatedStream` for half.
    """
    provider, model = name_of(llm)
    written = sum(len(str(message["content"] or "")) for message in messages)
    request = LLMRequest(1, provider, model, costs_of(llm), 0, tuple(messages), characters=written)
    round = Round()
    async with closing(open_stream(llm, messages, tools, cancel_event=None, call_id=None)) as stream:
        async for value in stream:
            chunk = as_chunk(value, provider=provider)
            request.chunks.append(chunk)
            round = take(round, chunk)
            if chunk.type == "done":
                break
    request.count_untold()
    costs.append(request.cost)
    judged = verdict(round, provider=provider)
    if isinstance(judged, PatterError):
        raise judged
    return Answer(round.text.strip(), requests_of(round, prefix="call"))
