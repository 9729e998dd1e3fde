"""The language model itself: llama.cpp in this process, through xllamacpp.

xllamacpp always opens llama.cpp's HTTP server beside its direct calls, so it is bound to the loopback address, at a port the system
chooses, with a random key that nobody is told. Everything here blocks; `LocalLLM` calls it on a thread of its own.
"""

from __future__ import annotations

import json
import mmap
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from patter_nb.errors import BadRequest, ContextTooLong, ModelNotFound, PatterError, ServerError
from patter_nb.inference import import_native

CONTEXT_TOKENS: Final = 2048
PROMPT_CACHE_MIB: Final = 64
_SILENT: Final = -1
_CHAT_TEMPLATE: Final = b"tokenizer.chat_template"


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model answered and what it cost in tokens: `cached_tokens` of the prompt were known from before, `prompt_tokens` not.

    `alternatives` holds, for each token of the answer, the log-probabilities of the likeliest tokens in its place, whatever a grammar says.
    """

    text: str
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    alternatives: tuple[Mapping[str, float], ...]


class Runtime:
    """One GGUF model, loaded, computing with so many `threads`.

    `handles_tools` says that its chat template takes tools.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        self.path = path
        self.handles_tools = "tools" in chat_template(path)
        self._server = _load(path, threads)

    def complete(
        self,
        prompt: str,
        *,
        max_tokens: int,
        grammar: str | None = None,
        schema: Mapping[str, Any] | None = None,
        alternatives: int = 0,
    ) -> Completion:
        """Continue `prompt` greedily, within `grammar` (GBNF) or a JSON `schema`, and note so many `alternatives` for each token."""
        body: dict[str, Any] = {"prompt": prompt, "n_predict": max_tokens, "temperature": 0, "cache_prompt": True, "n_probs": alternatives}
        if grammar:
            body["grammar"] = grammar
        if schema:
            body["json_schema"] = dict(schema)
        answer = _checked(self._server.handle_completions(body))
        choice, usage = answer["choices"][0], answer["usage"]
        cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
        content = (choice.get("logprobs") or {}).get("content") or ()
        noted = tuple({entry["token"]: entry["logprob"] for entry in token["top_logprobs"]} for token in content)
        return Completion(choice["text"], usage["prompt_tokens"] - cached, cached, usage["completion_tokens"], noted)

    def chat(self, body: Mapping[str, Any], on_event: Callable[[Mapping[str, Any]], bool]) -> None:
        """Stream a chat completion by the model's own template; `on_event` sees each OpenAI-shaped event and returns True to stop."""
        failure: list[BaseException] = []

        def guarded(event: Mapping[str, Any]) -> bool:
            # xllamacpp drops what a callback raises, so it is carried past it.
            try:
                return on_event(_checked(event))
            except (PatterError, RuntimeError, KeyError, ValueError) as error:
                failure.append(error)
                return True

        self._server.handle_chat_completions(
            {**body, "stream": True, "stream_options": {"include_usage": True}, "cache_prompt": True}, guarded
        )
        if failure:
            raise failure[0]


def chat_template(path: Path) -> str:
    """The chat template in a GGUF file, "" where it has none. Raises `ModelNotFound` for a file that is missing or no GGUF.

    The key stands in the file's header as its bytes, a type (8 is string), a length and the text:
    https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
    """
    if not path.is_file():
        raise ModelNotFound(
            f"There is no model file {path}.", provider="local", hint="Check the path. LocalLLM() needs none, after `patter-nb download`."
        )
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ModelNotFound(f"{path} is no GGUF file.", provider="local", hint="LocalLLM reads models in llama.cpp's GGUF format.")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            at = mapped.find(_CHAT_TEMPLATE)
            if at < 0:
                return ""
            at += len(_CHAT_TEMPLATE) + 4
            length = int.from_bytes(mapped[at : at + 8], "little")
            return mapped[at + 8 : at + 8 + length].decode("utf-8", "replace")


def _load(path: Path, threads: int) -> Any:
    xllamacpp = import_native("xllamacpp", "LocalLLM")
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.verbosity = _SILENT
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = 1
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.fit_params = params.warmup = params.ui = False
    params.hostnames, params.port, params.n_threads_http = ["127.0.0.1"], 0, 1
    params.api_keys = [secrets.token_hex(32)]
    try:
        return xllamacpp.Server(params)
    except (RuntimeError, ValueError) as error:
        raise ModelNotFound(
            f"llama.cpp cannot load {path}: {error}", provider="local", hint="The file may be cut off; fetch it again."
        ) from error


def _checked(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """`answer`, or the error it stands for. llama.cpp reports an error as {"error": {"code", "message", "type"}}."""
    if "error" not in answer:
        return answer
    error = answer["error"]
    message, code = str(error.get("message", json.dumps(error))), error.get("code")
    kind = (
        ContextTooLong
        if error.get("type") == "exceed_context_size_error"
        else BadRequest
        if code == HTTPStatus.BAD_REQUEST
        else ServerError
    )
    raise kind(message, provider="local", status=code if isinstance(code, int) else None, code=error.get("type"))
