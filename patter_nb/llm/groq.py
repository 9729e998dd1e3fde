"""Groq's language models: OpenAI's form at https://api.groq.com/openai/v1."""

from __future__ import annotations

from typing import ClassVar

from patter_nb.llm.openai_shape import OpenAILLMProvider

__all__ = ["LLM", "GroqLLM"]


class GroqLLM(OpenAILLMProvider):
    """A model that Groq serves, by default llama-3.3-70b-versatile; the key is GROQ_API_KEY.

    Its arguments are those of `OpenAILLMProvider`; `client` is a `groq.AsyncGroq`.
    """

    provider: ClassVar[str] = "groq"
    key_names: ClassVar[tuple[str, ...]] = ("GROQ_API_KEY",)
    default_model: ClassVar[str] = "llama-3.3-70b-versatile"
    default_base_url: ClassVar[str] = "https://api.groq.com/openai/v1"
    models: ClassVar[tuple[str, ...]] = ("llama-3.3-70b-versatile", "llama-3.1-8b-instant", "openai/gpt-oss-120b")


LLM = GroqLLM
