"""One request to a language model, or to an engine, as a span."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from patter_nb.events import LLMChunked, LLMRequested, RequestAnswered, RequestSent
from patter_nb.llm.base import LLMChunk
from patter_nb.tracing import names
from patter_nb.tracing.content import input_messages, output_messages
from patter_nb.tracing.span import Value
from patter_nb.tracing.tree import Growing, Tree
from patter_nb.turn import RUNS_HERE, LLMRequest

__all__ = ["Chat", "asked_of", "begin", "usage"]


@dataclass(slots=True)
class Chat:
    """A request, what has come back so far, and when the last of it did."""

    span: Growing
    request: LLMRequest
    asked_s: float
    last_s: float

    def take(self, tree: Tree, chunk: LLMChunk, at_s: float) -> None:
        """One more chunk; after the last the span is ended."""
        if self.span.end_ns is not None:
            return
        if not self.request.chunks:
            tree.tell(self.span, {names.FIRST_CHUNK: round(at_s - self.asked_s, 6)})
        self.request.chunks.append(chunk)
        self.last_s = at_s
        if chunk.type == "done":
            self.end(tree, at_s)

    def go_over_the_wire(self, tree: Tree, told: RequestSent | RequestAnswered, at_s: float) -> None:
        """The vendor was asked, perhaps again, or has answered."""
        if self.span.end_ns is not None:
            return
        if isinstance(told, RequestAnswered):
            tree.mark(self.span, told.type, at_s, {"http.response.status_code": told.status, "patter.request.id": told.request_id})
            return
        tree.tell(self.span, _server(told.url or ""))
        tree.mark(self.span, told.type, at_s, {"patter.request.attempt": told.attempt})

    def end(self, tree: Tree, at_s: float) -> None:
        """No more comes."""
        if self.span.end_ns is not None:
            return
        provider, model = self.request.answered_by
        answered = {names.PROVIDER: names.vendor(provider), names.RESPONSE_MODEL: model} if self.request.usage is not None else {}
        reason = self.request.finish_reason
        told: dict[str, Value | None] = {names.FINISH_REASONS: (reason,) if reason else None}
        tree.tell(self.span, answered | usage(self.request.usage) | told)
        if tree.captures:
            tree.tell(self.span, {names.OUTPUT_MESSAGES: output_messages(self.request.chunks, reason)})
        tree.end(self.span, at_s)


def begin(tree: Tree, parent: Growing, asked: LLMRequested, at_s: float) -> Chat:
    """The model is asked. Of a provider that runs in this process it is no call to anybody."""
    known: dict[str, Value | None] = {
        names.OPERATION: names.CHAT,
        names.PROVIDER: names.vendor(asked.provider),
        names.REQUEST_MODEL: asked.model,
        names.REQUEST_STREAM: True,
        names.OUTPUT_TYPE: "speech" if asked.stage == "engine" else None,
        "patter.llm.iteration": asked.round,
        "patter.llm.history_size": asked.carried,
        names.INPUT_MESSAGES: input_messages(asked.messages) if tree.captures else None,
    }
    span = tree.start(parent, _name(names.CHAT, asked.model), at_s, known, kind="internal" if asked.provider in RUNS_HERE else "client")
    own = (asked.round, asked.provider, asked.model, asked.costs, asked.carried, asked.messages)
    return Chat(span, LLMRequest(*own, asked.stage, asked.piece, asked.characters), at_s, at_s)


def asked_of(chats: Iterable[Chat], told: LLMChunked) -> Chat | None:
    """The request that a chunk answers: the newest, but that an engine's usage may be that of a piece, or come late."""
    chats = list(chats)
    for chat in chats if told.chunk.type == "usage" else ():
        request = chat.request
        if (request.stage, request.round, request.piece) == ("engine", told.round, told.piece) and request.usage is None:
            return chat
    return chats[-1] if chats else None


def usage(told: LLMChunk | None) -> dict[str, Value | None]:
    """Tokens as the conventions count them: those of a cache are among those of the input."""
    if told is None:
        return {}
    parts = (told.input_tokens, told.cache_read_tokens, told.cache_write_tokens)
    return {
        names.INPUT_TOKENS: sum(part or 0 for part in parts) if told.input_tokens is not None else None,
        names.OUTPUT_TOKENS: told.output_tokens,
        names.CACHE_READ: told.cache_read_tokens,
        names.CACHE_WRITE: told.cache_write_tokens,
        names.REASONING: told.reasoning_tokens,
        "patter.usage.estimated": told.estimated,
    }


def _server(url: str) -> dict[str, Value | None]:
    """Where an address leads; a base_url that somebody mistyped may name no port that there can be."""
    where = urlsplit(url)
    try:
        port = where.port or {"https": 443, "wss": 443}.get(where.scheme, 80)
    except ValueError:
        port = None
    return {names.SERVER: where.hostname, names.PORT: port if where.hostname else None}


def _name(operation: str, model: str | None) -> str:
    return f"{operation} {model}" if model else operation
