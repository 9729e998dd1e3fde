"""What the doctor finds is what is there, and a key is never in it."""

from __future__ import annotations

import pytest
from talking import talking

from patter_nb.testing import ScriptedLLM

KEYS = (
    *("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GROQ_API_KEY", "CEREBRAS_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"),
    *("DEEPGRAM_API_KEY", "ASSEMBLYAI_API_KEY", "CARTESIA_API_KEY", "ELEVENLABS_API_KEY"),
)


async def test_it_says_which_keys_there_are_and_never_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GROQ_API_KEY", "gsk-a-secret")
    monkeypatch.setenv("GOOGLE_API_KEY", "AIza-a-secret")
    monkeypatch.setenv("DEEPGRAM_API_KEY", "dg-a-secret")
    async with talking(llm=ScriptedLLM([])) as session:
        report = session.doctor()
    found = {finding.name: finding.value for finding in report.findings if finding.topic == "providers"}
    assert found == {
        "OpenAIRealtime": "no key (OPENAI_API_KEY)",
        "ElevenLabsConvAI": "no key (ELEVENLABS_API_KEY)",
        "GeminiLive": "GOOGLE_API_KEY is set",
        "OpenAILLM": "no key (OPENAI_API_KEY)",
        "AnthropicLLM": "no key (ANTHROPIC_API_KEY)",
        "GroqLLM": "GROQ_API_KEY is set",
        "CerebrasLLM": "no key (CEREBRAS_API_KEY)",
        "GoogleLLM": "GOOGLE_API_KEY is set",
        "DeepgramSTT": "DEEPGRAM_API_KEY is set",
        "OpenAITranscribeSTT": "no key (OPENAI_API_KEY)",
        "AssemblyAISTT": "no key (ASSEMBLYAI_API_KEY)",
        "CartesiaSTT": "no key (CARTESIA_API_KEY)",
        "OpenAITTS": "no key (OPENAI_API_KEY)",
        "ElevenLabsTTS": "no key (ELEVENLABS_API_KEY)",
        "CartesiaTTS": "no key (CARTESIA_API_KEY)",
    }
    shown = report._repr_mimebundle_()
    assert "GroqLLM" in shown["text/html"]
    assert not [text for text in (str(report), *shown.values()) if "secret" in text]
