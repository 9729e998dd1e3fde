"""The ways in which an agent can hear, think and speak: each a cell that serves it, with the far side of its wires in the same kernel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

QUESTION = "What's the weather in Paris?"
"""What is said in question.wav."""
ANSWER = "It is sunny in London and the wind comes from the west."
"""A small recogniser hears it as a small voice says it."""

_ENGINE_HEARS = f"hears=[Utterance(1000, 3000, {QUESTION!r})]"
"""The question is in the second and third second of the microphone's recording, and so of what an engine gets."""
_SAYS = f"[Spoken({ANSWER!r}, pcm=spoken, paced=True)]"


@dataclass(frozen=True)
class Mode:
    """`before` is run in the kernel, where `spoken` is the sound of ANSWER at 24 kHz; `serve` is the notebook's first cell.

    `chips` is what stands in each of the console's chips, in order. `heard` is an expression for (samples, rate) of the person's sound as
    it came to whoever recognised it.
    """

    name: str
    before: str
    serve: str
    chips: tuple[tuple[str, ...], ...]
    heard: str

    def __str__(self) -> str:
        return self.name


def prepared(mode: Mode, spoken: Path) -> str:
    """What is to be run before the first cell; `spoken` is a recording of ANSWER."""
    return f"""
import numpy as np
from patter_nb.audio.resampling import resample
from patter_nb.audio.wav import read_wav, write_wav
from patter_nb.testing.wire import WireServer
from patter_nb.testing.wire.convai import ConvAIServer
from patter_nb.testing.wire.engine_server import Spoken, Utterance
from patter_nb.testing.wire.gemini_live import GeminiLiveServer
from patter_nb.testing.wire.realtime import RealtimeServer
from patter_nb.testing.wire.speech_sockets import SpeechServer
from patter_nb.testing.wire.voices import VoiceServer
spoken = resample(*read_wav({str(spoken)!r}), 24_000)
{mode.before}"""


CLOUD = Mode(
    "cloud",
    before=f"""
ears = await SpeechServer([{QUESTION!r}, "", ""]).__aenter__()
mind = await WireServer([{ANSWER!r}]).__aenter__()
mouth = await VoiceServer(lambda text: {{{ANSWER!r}: spoken}}[text.strip()]).__aenter__()
""",
    serve="""from patter_nb import DeepgramSTT, ElevenLabsTTS, OpenAILLM, Patter

agent = Patter().agent(
    "Be brief.",
    stt=DeepgramSTT("test-key", base_url=ears.url),
    llm=OpenAILLM("test-key", base_url=mind.openai_url),
    tts=ElevenLabsTTS("test-key", base_url=mouth.elevenlabs_url),
)
session = await Patter().serve(agent)""",
    chips=(
        ("hears", "deepgram", "nova-3", "$0.00"),
        ("thinks", "openai", "gpt-4o-mini", "$0.00"),
        ("speaks", "elevenlabs", "eleven_flash_v2_5", "$0.00"),
        ("in all", "$0.00"),
    ),
    heard="(ears.calls[0].audio, ears.calls[0].rate)",
)
ON_MESSAGE = Mode(
    "on_message",
    before="asked = []",
    serve=f"""from patter_nb import MoonshineSTT, Patter, PiperTTS

def answer(message):
    asked.append(message["text"])
    return {ANSWER!r}

agent = Patter().agent(stt=MoonshineSTT(), tts=PiperTTS())
session = await Patter().serve(agent, on_message=answer)""",
    chips=(("hears", "moonshine", "tiny"), ("thinks", "on_message", "answer", "free"), ("speaks", "piper")),
    heard="(np.asarray(session.audio.heard), 16_000)",
)


def _engine(name: str, server: str, provider: str, *chip: str, rate: int = 16_000, agent_id: str = "", in_all: bool = False) -> Mode:
    return Mode(
        name,
        before=f"server = await {server}({_SAYS}, {_ENGINE_HEARS}).__aenter__()",
        serve=f"""from patter_nb import Patter, {provider}

agent = Patter().agent("Be brief.", engine={provider}("test-key", {agent_id}base_url=server.url))
session = await Patter().serve(agent)""",
        chips=(("engine", *chip), *((("in all", "$0.00"),) if in_all else ())),
        heard=f"(np.frombuffer(server.heard, '<i2'), {rate})",
    )


ENGINES = (
    _engine("openai realtime", "RealtimeServer", "OpenAIRealtime", "openai", "gpt-realtime-mini", "$0.00", rate=24_000, in_all=True),
    _engine(
        "elevenlabs convai", "ConvAIServer", "ElevenLabsConvAI", "elevenlabs", "agent-1", "price unknown", agent_id='agent_id="agent-1", '
    ),
    _engine("gemini live", "GeminiLiveServer", "GeminiLive", "google", "gemini-2.5-flash-native-audio", "$0.00"),
)
"""OpenAI charges apart for writing down what the person said."""
MODES = (CLOUD, *ENGINES, ON_MESSAGE)
