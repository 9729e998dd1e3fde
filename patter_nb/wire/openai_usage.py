"""OpenAI's count of tokens for writing down what was said, the same where only that is asked for and beside an engine's answers.

From its API reference, "conversation.item.input_audio_transcription.completed".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patter_nb.llm.base import LLMChunk

__all__ = ["transcription_tokens"]


def transcription_tokens(usage: Mapping[str, Any], provider: str) -> LLMChunk:
    """A `usage` of type "tokens" as a chunk; what of it is sound rides along under the names of `pricing`."""
    sound = {"input_audio_tokens": int((usage.get("input_token_details") or {}).get("audio_tokens") or 0)}
    input, output = int(usage.get("input_tokens") or 0), int(usage.get("output_tokens") or 0)
    return LLMChunk("usage", input_tokens=input, output_tokens=output, provider=provider, extra={provider: sound})
