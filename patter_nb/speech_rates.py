"""What vendors charge for hearing and speaking, in USD, of May 2026: for what genai-prices does not know. One's own prices go before these.

From the vendors' price lists for payment by use, without a volume's discount: a minute of sound that is sent to speech to text, and
1,000 characters that a voice is given. A model that is not listed has no price. AssemblyAI charges for the time that a connection is open,
of which the sound is the least. OpenAI's gpt-4o-mini-tts is charged by tokens, which its API does not tell: 1,000 characters come to
about this.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

__all__ = ["CHARACTERS", "MINUTE"]

_NOVA_2: Final = "general meeting phonecall finance conversationalai voicemail video medical drivethru automotive atc".split()

_MINUTE: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "deepgram": {
        "0.0048": ("nova-3", "nova-3-general", "nova-3-medical"),
        "0.0058": ("nova-3-multilingual", "nova-2", *(f"nova-2-{kind}" for kind in _NOVA_2)),
        "0.0043": ("nova", "nova-general", "nova-phonecall"),
        "0.0065": ("flux-general-en",),
        "0.0078": ("flux-general-multi",),
    },
    "openai": {"0.006": ("whisper-1", "gpt-4o-transcribe", "gpt-4o-transcribe-diarize"), "0.003": ("gpt-4o-mini-transcribe",)},
    "assemblyai": {"0.0025": ("universal-streaming-english", "universal-streaming-multilingual")},
    "cartesia": {"0.0025": ("ink-whisper",)},
}
_CHARACTERS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "elevenlabs": {
        "0.05": ("eleven_flash_v2_5", "eleven_flash_v2", "eleven_turbo_v2_5", "eleven_turbo_v2"),
        "0.10": ("eleven_multilingual_v2", "eleven_multilingual_v1", "eleven_v3"),
    },
    "openai": {"0.015": ("tts-1",), "0.03": ("tts-1-hd",), "0.012": ("gpt-4o-mini-tts",)},
    "cartesia": {"0.03": ("sonic", "sonic-2", "sonic-3", "sonic-turbo")},
}


def _by_model(table: Mapping[str, Mapping[str, tuple[str, ...]]]) -> Mapping[tuple[str, str], Decimal]:
    return {(vendor, model): Decimal(rate) for vendor, rates in table.items() for rate, models in rates.items() for model in models}


MINUTE: Final = _by_model(_MINUTE)
"""By (provider, model)."""
CHARACTERS: Final = _by_model(_CHARACTERS)
"""By (provider, model), for 1,000."""
