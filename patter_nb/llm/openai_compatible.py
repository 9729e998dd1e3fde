"""Any server that speaks OpenAI's chat completions: vLLM, llama.cpp, Ollama, LM Studio, a company's gateway."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from patter_nb.errors import PatterConfigError
from patter_nb.llm.openai_shape import OpenAILLMProvider

__all__ = ["LLM", "OpenAICompatibleLLM"]

_NO_KEY: Final = "EMPTY"
"""What vLLM's documentation passes where a server wants no key; such servers read none."""
_THIS_MACHINE: Final = frozenset(("localhost", "127.0.0.1", "::1"))


class OpenAICompatibleLLM(OpenAILLMProvider):
    """A model at `base_url`, which ends before /chat/completions: "http://localhost:11434/v1".

    Its arguments are those of `OpenAILLMProvider`, and

    api_key_env     the environment variable that holds the key; without one, and without `api_key`, no key is needed
    extra_headers   sent with each request

    A server on this machine counts as free. Raises `PatterConfigError` without `base_url` or `model`.
    """

    provider: ClassVar[str] = "openai_compatible"
    key_names: ClassVar[tuple[str, ...]] = ()
    limit_name: ClassVar[str] = "max_tokens"  # the older name, which all copies know

    def __init__(
        self, api_key: str | None = None, *, api_key_env: str | None = None, extra_headers: Mapping[str, str] | None = None, **options: Any
    ) -> None:
        base_url = options.get("base_url")
        if options.get("client") is None and not (isinstance(base_url, str) and base_url.startswith(("http://", "https://"))):
            hint = 'For example base_url="http://localhost:11434/v1".'
            raise PatterConfigError(f"OpenAICompatibleLLM cannot use base_url={base_url!r:.80}.", hint=hint)
        if api_key_env is not None and not os.environ.get(api_key_env) and not api_key:
            raise PatterConfigError(f"The environment variable {api_key_env} is not set.", hint="Set it to the key, or pass api_key=.")
        super().__init__(api_key or (os.environ.get(api_key_env) if api_key_env else None) or _NO_KEY, **options)
        self._extra_headers = dict(extra_headers or {})
        self.costs = urlsplit(base_url or "").hostname not in _THIS_MACHINE

    async def headers(self) -> dict[str, str]:
        return {**await super().headers(), **self._extra_headers}

    def _key_hint(self) -> str:
        return "Pass the key of this server as api_key=."


LLM = OpenAICompatibleLLM
