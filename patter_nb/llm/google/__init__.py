"""Google's language models: generateContent of the Gemini API, or of Vertex AI.

From Google's references "GenerateContent", "Function calling", "Thought signatures", and Vertex AI's of the same names. What differs from
OpenAI's form: a call comes whole, or as values by path; results go by the function's name; thoughts are parts like any other, and a call
may carry a signature that has to come back with it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from msgspec import Struct

from patter_nb.errors import MalformedStream, PatterConfigError
from patter_nb.llm.base import FinishReason, LLMChunk, Message, ToolSpec
from patter_nb.llm.gemini.parts import Growing, contents_of
from patter_nb.llm.gemini.schema import gemini_schema
from patter_nb.llm.google.vertex import VertexToken, vertex_host
from patter_nb.llm.wire.clients import Objects, plain
from patter_nb.llm.wire.decoding import Decoder, finish_of
from patter_nb.llm.wire.history import functions, sound, system_text
from patter_nb.llm.wire.vendor import USER_AGENT, VendorLLM
from patter_nb.wire.refusals import Source

__all__ = ["LLM", "GoogleLLM"]

_FINISHES: Final[Mapping[str, FinishReason]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "FUNCTION_CALL": "tool_calls",
    **dict.fromkeys(("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "LANGUAGE"), "content_filter"),
}
_BROKEN_CALLS: Final = ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL")
_MODES: Final = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
_NAMES: Final[Mapping[str, str]] = {
    "temperature": "temperature",
    "max_tokens": "maxOutputTokens",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
}


class _Call(Struct, rename="camel"):
    name: str | None = None
    id: str | None = None
    args: dict[str, Any] | None = None
    partial_args: list[dict[str, Any]] | None = None
    will_continue: bool | None = None


class _Part(Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: _Call | None = None


class _Content(Struct, rename="camel"):
    parts: list[_Part] | None = None


class _Candidate(Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None


class _Feedback(Struct, rename="camel"):
    block_reason: str | None = None


class _Usage(Struct, rename="camel"):
    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    cached_content_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None


class _Event(Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: _Usage | None = None
    error: Any = None


class GoogleDecoder(Decoder[_Event]):
    """Events of generateContent to chunks. One with a finishReason and a count ends it; else, after a reason, the connection's end does."""

    event: ClassVar[Any] = _Event

    def __init__(self, source: Source, request_chars: int) -> None:
        super().__init__(source, request_chars)
        self._growing: Growing | None = None

    def decode(self, event: _Event) -> Iterable[LLMChunk]:
        if event.error is not None:
            raise self.error({"error": event.error})
        if event.usage_metadata is not None:
            self._count(event.usage_metadata)
        if event.prompt_feedback is not None and event.prompt_feedback.block_reason:
            self.finish_reason = "content_filter"
        if not event.candidates:
            return ()
        candidate = event.candidates[0]
        parts = candidate.content.parts if candidate.content is not None else None
        chunks = [chunk for part in parts or () for chunk in self._chunks(part)]
        if candidate.finish_reason in _BROKEN_CALLS:
            told = f"Google's model wrote a call that is none: {candidate.finish_message or candidate.finish_reason}"
            hint = "Ask again, or describe the tool better."
            raise MalformedStream(told, provider=self.source.provider, model=self.source.model, hint=hint)
        if candidate.finish_reason is not None:
            self.finish_reason = finish_of(candidate.finish_reason, _FINISHES)
            self.ended = event.usage_metadata is not None  # the last event has both; a connection that stays open keeps nobody waiting
        return chunks

    def _chunks(self, part: _Part) -> Iterable[LLMChunk]:
        if part.function_call is not None:
            return self._call(part.function_call, part.thought_signature)
        if part.text:
            return (LLMChunk("reasoning" if part.thought else "text", content=part.text),)
        return ()

    def _call(self, call: _Call, signature: str | None) -> Iterable[LLMChunk]:
        """A call that came whole; or the next piece of one, which is told once it is whole."""
        growing, self._growing = self._growing or Growing(), None
        growing.take(call.name, call.id, call.args, call.partial_args, signature)
        if call.will_continue:
            self._growing = growing
            return ()
        extra = {key: value for key, value in (("signature", growing.signature), ("id", growing.id)) if value}
        return (
            LLMChunk(
                "tool_call",
                index=self.next_call(),
                id=growing.id,
                name=growing.name,
                arguments=json.dumps(growing.arguments, ensure_ascii=False),
                extra={self.source.provider: extra} if extra else None,
            ),
        )

    def _count(self, usage: _Usage) -> None:
        """Counts are of all so far. Thinking is paid as output, and told apart."""
        cached, thoughts = usage.cached_content_token_count or 0, usage.thoughts_token_count or 0
        self.usage.input = max(0, (usage.prompt_token_count or 0) - cached) + (usage.tool_use_prompt_token_count or 0)
        self.usage.output = (usage.candidates_token_count or 0) + thoughts
        self.usage.cache_read, self.usage.reasoning = cached, thoughts


class GoogleLLM(VendorLLM):
    """A model of Google's, by default gemini-2.5-flash; the key is GEMINI_API_KEY, or else GOOGLE_API_KEY. Beside those of `VendorLLM`:

    vertexai    use Vertex AI: also where no `api_key` is passed and GOOGLE_GENAI_USE_VERTEXAI is "1" or "true". Needs the extra google
    project     of Google Cloud; default GOOGLE_CLOUD_PROJECT
    location    its region; default GOOGLE_CLOUD_LOCATION, else us-central1
    thinking_budget  how many tokens the model may think, 0 for none; thoughts are reasoning, never spoken

    temperature, max_tokens, top_p, top_k, stop, seed, frequency_penalty, presence_penalty and tool_choice ("auto", "none", "required" or
    {"function": {"name"}}) are as in OpenAI's form. `client` is a `google.genai.Client`; its connection stays open until it is closed.
    """

    provider: ClassVar[str] = "google"
    key_names: ClassVar[tuple[str, ...]] = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
    models: ClassVar[tuple[str, ...]] = ("gemini-2.5-flash", "gemini-2.5-pro", "gemini-2.5-flash-lite")

    def __init__(  # noqa: PLR0913  # the API's own options, each a keyword with a default
        self,
        api_key: str | None = None,
        *,
        model: str = "gemini-2.5-flash",
        base_url: str | None = None,
        timeout_s: float = 60.0,
        max_retries: int = 2,
        client: Any = None,
        vertexai: bool = False,
        project: str | None = None,
        location: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        top_p: float | None = None,
        top_k: int | None = None,
        stop: str | Sequence[str] | None = None,
        seed: int | None = None,
        frequency_penalty: float | None = None,
        presence_penalty: float | None = None,
        tool_choice: str | Mapping[str, Any] | None = None,
        thinking_budget: int | None = None,
        **unknown: Any,
    ) -> None:
        options = {
            "temperature": temperature,
            "max_tokens": max_tokens,
            "top_p": top_p,
            "top_k": top_k,
            "stop": stop,
            "seed": seed,
            "frequency_penalty": frequency_penalty,
            "presence_penalty": presence_penalty,
            "tool_choice": tool_choice,
            "thinking_budget": thinking_budget,
        }
        by_environment = api_key is None and os.environ.get("GOOGLE_GENAI_USE_VERTEXAI", "").lower() in ("1", "true")
        self._vertex = (vertexai or by_environment) and client is None
        self._project = project or os.environ.get("GOOGLE_CLOUD_PROJECT", "")
        self._location = location or os.environ.get("GOOGLE_CLOUD_LOCATION") or "us-central1"
        self._token = VertexToken()
        if self._vertex and not self._project:
            raise PatterConfigError("Vertex AI needs a project.", hint="Pass project=, or set GOOGLE_CLOUD_PROJECT.")
        own_address = vertex_host(self._location) if self._vertex else "https://generativelanguage.googleapis.com"
        super().__init__(
            api_key,
            model=model,
            base_url=own_address if base_url is None else base_url,
            timeout_s=timeout_s,
            max_retries=max_retries,
            client=client,
            options=options,
            unknown=unknown,
        )

    def _find_key(self, api_key: str | None) -> str:
        return "" if self._vertex else super()._find_key(api_key)

    def encode(self, messages: Sequence[Message], tools: Sequence[ToolSpec] | None) -> dict[str, Any]:
        """The body of a request to generateContent."""
        body: dict[str, Any] = {"contents": contents_of(sound(messages), self.provider, needs_signatures=_is_newer(self.model))}
        if system := system_text(messages):
            body["systemInstruction"] = {"parts": [{"text": system}]}
        if tools:
            body["tools"] = [{"functionDeclarations": [_declaration(function) for function in functions(tools)]}]
            if (choice := self.options.get("tool_choice")) is not None:
                body["toolConfig"] = {"functionCallingConfig": _choice(choice)}
        settings = {_NAMES[key]: value for key, value in self.options.items() if key in _NAMES}
        if "stop" in self.options:
            stop = self.options["stop"]
            settings["stopSequences"] = [stop] if isinstance(stop, str) else list(stop)
        if "thinking_budget" in self.options:
            settings["thinkingConfig"] = {"thinkingBudget": self.options["thinking_budget"]}
        return body | ({"generationConfig": settings} if settings else {})

    def decoder(self, request_chars: int) -> Decoder[Any]:
        return GoogleDecoder(self.source, request_chars)

    def _models_url(self) -> str:
        if self._vertex:
            return f"{self.base_url}/v1/projects/{self._project}/locations/{self._location}/publishers/google/models"
        return f"{self.base_url}/v1beta/models"

    def url(self) -> str:
        return f"{self._models_url()}/{self.model}:streamGenerateContent?alt=sse"

    def warm_url(self) -> str:
        return self._models_url()

    async def headers(self) -> dict[str, str]:
        key = {"Authorization": f"Bearer {await self._token.get()}"} if self._vertex else {"x-goog-api-key": self._key}
        return {**key, "User-Agent": USER_AGENT}

    def objects(self, client: Any, body: Mapping[str, Any]) -> Objects:
        config = {key: value for key, value in body.items() if key not in ("contents", "generationConfig")}
        config |= body.get("generationConfig", {})
        return plain(client.aio.models.generate_content_stream(model=self.model, contents=body["contents"], config=config))


def _is_newer(model: str) -> bool:
    """Whether it is of the third generation or a later one, which refuses calls of its current turn without a signature."""
    found = re.search(r"gemini-(\d+)", model)
    return found is not None and int(found[1]) >= 3


def _declaration(function: Mapping[str, Any]) -> dict[str, Any]:
    """A function without parameters has none: an object without properties is refused."""
    parameters = function.get("parameters") or {}
    told = {"name": function["name"], "description": function.get("description") or function["name"]}
    schema = gemini_schema(parameters) if parameters else {}
    return told | ({"parameters": schema} if schema.get("properties") else {})


def _choice(choice: str | Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI's way to say which tool, in Google's."""
    if isinstance(choice, str):
        return {"mode": _MODES.get(choice, choice)}
    return {"mode": "ANY", "allowedFunctionNames": [choice["function"]["name"]]}


LLM = GoogleLLM
