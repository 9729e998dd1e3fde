"""What spans and their attributes are called.

`gen_ai.*`, `error.*`: OpenTelemetry's semantic conventions for generative AI, of open-telemetry/semantic-conventions-genai (spans
of inference, agents and tools). They have no word for speech: `patter.*` is our own, as are `speech_to_text` and `text_to_speech`.
"""

from __future__ import annotations

from typing import Final

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
CONVERSATION: Final = "gen_ai.conversation.id"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
OUTPUT_TYPE: Final = "gen_ai.output.type"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE: Final = "gen_ai.usage.cache_creation.input_tokens"
REASONING: Final = "gen_ai.usage.reasoning.output_tokens"
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
TOOL_CALL: Final = "gen_ai.tool.call.id"
ERROR: Final = "error.type"
SERVER: Final = "server.address"
PORT: Final = "server.port"

INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
TOOL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_RESULT: Final = "gen_ai.tool.call.result"
HEARD: Final = "patter.stt.text"
SPOKEN: Final = "patter.tts.text"

CONTENT: Final = frozenset((INPUT_MESSAGES, OUTPUT_MESSAGES, TOOL_ARGUMENTS, TOOL_RESULT, HEARD, SPOKEN))
"""Attributes that hold what people, models and tools said: only where they are asked for."""

INVOKE_AGENT: Final = "invoke_agent"
CHAT: Final = "chat"
EXECUTE_TOOL: Final = "execute_tool"
SPEECH_TO_TEXT: Final = "speech_to_text"
TEXT_TO_SPEECH: Final = "text_to_speech"


def vendor(provider: str) -> str:
    """A provider by the name that the conventions have for it; Google is not told apart here by the API that was asked.

    >>> vendor("google"), vendor("openai")
    ('gcp.gen_ai', 'openai')
    """
    return "gcp.gen_ai" if provider == "google" else provider
