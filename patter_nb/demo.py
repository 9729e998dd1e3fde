"""The agent to begin with: the first notebook talks with it, and so does `patter-nb call` when no other is named.

It needs no key and no network. Its weather is made up, and says so; its timer rings nowhere. They are here to be called.

>>> get_weather("Paris")
'In Paris it is rainy and 19 degrees. I made that up.'
>>> set_timer(5)
'Your timer for 5 minutes is started.'
"""

from __future__ import annotations

from zlib import crc32

from patter_nb.agent import Agent
from patter_nb.downloads.artifacts import local_speech_model
from patter_nb.llm.local import LocalLLM
from patter_nb.patter import Patter
from patter_nb.stt.base import STT
from patter_nb.tools.tool import tool
from patter_nb.tts.piper import PiperTTS
from patter_nb.vad.silero import SileroVAD

__all__ = ["agent", "get_weather", "set_timer"]

_SKIES = ("sunny", "cloudy", "rainy", "windy", "foggy", "clear")


@tool(
    examples=[
        ("What's the weather like in Madrid?", {"city": "Madrid"}),
        ("How warm is it in Cairo today?", {"city": "Cairo"}),
        ("Is it raining in London?", {"city": "London"}),
        ("Do I need an umbrella in Oslo?", {"city": "Oslo"}),
    ]
)
def get_weather(city: str) -> str:
    """Tell the weather in a city.

    A demo: the weather is made up from the city's name, always the same for the same city, and the answer says so.

    Args:
        city: The name of the city.
    """
    number = crc32(city.casefold().encode())
    return f"In {city} it is {_SKIES[number % len(_SKIES)]} and {5 + number % 23} degrees. I made that up."


@tool(
    examples=[
        ("Set a timer for five minutes.", {"minutes": 5}),
        ("Wake me in 20 minutes.", {"minutes": 20}),
        ("Tell me when ten minutes are over.", {"minutes": 10}),
    ]
)
def set_timer(minutes: int) -> str:
    """Set a timer.

    A demo: nothing rings.

    Args:
        minutes: After how many minutes it should ring.
    """
    return f"Your timer for {minutes} minute{'s' if minutes != 1 else ''} is started."


def agent() -> Agent:
    """A new agent with the local stack and the two tools. Loads nothing yet; `patter-nb download` fetches its models."""
    return Patter().agent(
        "You are a friendly assistant on the telephone. You can tell the weather and set a timer.",
        llm=LocalLLM(),
        stt=_speech_to_text(),
        tts=PiperTTS(),
        vad=SileroVAD(),
        tools=[get_weather, set_timer],
        error_message="I'm sorry, something went wrong. Please try again.",
        filler="One moment, please.",
    )


def _speech_to_text() -> STT:
    if local_speech_model() == "moonshine":
        from patter_nb.stt.moonshine import MoonshineSTT

        return MoonshineSTT()
    from patter_nb.stt.whisper import WhisperSTT

    return WhisperSTT()
