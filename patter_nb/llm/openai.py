"""OpenAI's language models: chat completions at https://api.openai.com/v1."""

from __future__ import annotations

from typing import ClassVar

from patter_nb.llm.openai_shape import OpenAILLMProvider

__all__ = ["LLM", "OpenAILLM"]


class OpenAILLM(OpenAILLMProvider):
    """A model of OpenAI's, by default gpt-4o-mini; the key is OPENAI_API_KEY. Its arguments are those of `OpenAILLMProvider`.

    `client` is an `openai.AsyncOpenAI` or `openai.AsyncAzureOpenAI`, for Azure with the deployment's name as `model`.
    """

    default_model: ClassVar[str] = "gpt-4o-mini"
    models: ClassVar[tuple[str, ...]] = ("gpt-4o-mini", "gpt-4o", "gpt-4.1", "gpt-4.1-mini")


LLM = OpenAILLM
