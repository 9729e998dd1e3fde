"""Cerebras' language models: OpenAI's form at https://api.cerebras.ai/v1, with a body that may be packed.

From Cerebras' "Payload optimization": a body may be MessagePack (`application/vnd.msgpack`), gzip, both or neither. gzip's first level,
because the fifth takes twice the time of the event loop for a seventh less (a conversation of 100 kB: 0.8 ms and 28 kB).
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgpack  # type: ignore[import-untyped]

from patter_nb.llm.openai_shape import OpenAILLMProvider

__all__ = ["LLM", "CerebrasLLM"]

_LEVEL: Final = 1


class CerebrasLLM(OpenAILLMProvider):
    """A model that Cerebras serves, by default gpt-oss-120b; the key is CEREBRAS_API_KEY.

    Its arguments are those of `OpenAILLMProvider`, and

    msgpack_encoding  send the body as MessagePack rather than JSON
    gzip_compression  send it compressed; what both save is told with the usage of each answer

    It is asked again once by default. `client` is an `openai.AsyncOpenAI` with Cerebras' address, or the `AsyncCerebras` of its own
    package; that sends the body in its own way.
    """

    provider: ClassVar[str] = "cerebras"
    key_names: ClassVar[tuple[str, ...]] = ("CEREBRAS_API_KEY",)
    default_model: ClassVar[str] = "gpt-oss-120b"
    default_base_url: ClassVar[str] = "https://api.cerebras.ai/v1"
    default_retries: ClassVar[int] = 1
    models: ClassVar[tuple[str, ...]] = ("gpt-oss-120b", "qwen-3-235b-a22b-instruct-2507", "llama-3.3-70b", "llama3.1-8b")

    def __init__(self, api_key: str | None = None, *, msgpack_encoding: bool = True, gzip_compression: bool = True, **options: Any) -> None:
        super().__init__(api_key, **options)
        self._msgpack = msgpack_encoding
        self._gzip = gzip_compression

    def pack(self, body: Mapping[str, Any]) -> tuple[bytes, dict[str, str]]:
        packed, headers = super().pack(body)
        if self._msgpack:
            packed, headers = msgpack.packb(body), {"Content-Type": "application/vnd.msgpack"}
        if self._gzip:
            packed, headers = gzip.compress(packed, _LEVEL, mtime=0), {**headers, "Content-Encoding": "gzip"}
        return packed, headers


LLM = CerebrasLLM
