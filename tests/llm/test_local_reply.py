from typing import Any

import pytest

from patter_nb.llm.local import reply
from patter_nb.llm.local.toolview import ToolView, view


def tool(name: str, description: str = "", **properties: dict[str, Any]) -> ToolView:
    parameters = {"type": "object", "properties": properties, "required": [*properties]}
    return view({"type": "function", "function": {"name": name, "description": description, "parameters": parameters}})


@pytest.mark.parametrize(
    ("description", "doing"),
    [
        ("Get the weather in a city.", "get the weather in a city"),
        ("Returns the balance. Needs a login.", "return the balance"),
        ("Searches the catalog", "search the catalog"),
        ("Carries bags", "carry bags"),
        ("Pass the salt", "pass the salt"),
        ("", "feed cat"),
    ],
)
def test_a_description_becomes_a_deed(description: str, doing: str) -> None:
    assert reply.doing(tool("feed_cat", description)) == doing


def test_what_can_be_done_is_told_from_the_tools() -> None:
    tools = [tool("get_weather", "Get the weather."), tool("set_timer", "Set a timer.")]
    assert reply.kindly(None, tools) == "I'm afraid I can't help with that. I can get the weather or set a timer."
    assert reply.kindly("greeting", tools) == "Hello! I can get the weather or set a timer."
    assert reply.kindly("abilities", tools) == "I can get the weather or set a timer."
    assert reply.kindly("thanks", tools) == "You're welcome."
    assert "a few things more" in reply.kindly(None, tools * 3)


def test_what_is_missing_is_asked_for() -> None:
    timer = tool("set_timer", "Set a timer.", minutes={"type": "integer", "description": "Length in minutes"}, label={"type": "string"})
    ringing = tool("set_timer", "Set a timer.", minutes={"type": "integer", "description": "After how many minutes it rings."})
    assert reply.ask_for(ringing, ["minutes"]) == "I can set a timer. Please tell me after how many minutes it rings."
    assert reply.ask_for(timer, ["minutes", "label"]) == "I can set a timer. Please tell me the length in minutes and the label."


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("sunny and 21 degrees", "Sunny and 21 degrees."),
        ('"sunny"', "Sunny."),
        ("21", "The outdoor temperature is 21."),
        ("0", "The outdoor temperature is 0."),
        ("null", "Done."),
        ("true", "Done."),
        ("", "Done."),
        ("[]", "Done."),
        ('{"temp_c": 21, "rain": false}', "The temp c is 21 and the rain is no."),
        ('["a", "b", "c"]', "The outdoor temperature are a, b and c."),
        ('{"error": "no such city"}', "I'm sorry, that did not work: no such city."),
        ('{"error": {"message": "timed out"}}', "I'm sorry, that did not work: timed out."),
    ],
)
def test_a_result_is_told_in_a_sentence(content: str, sentence: str) -> None:
    assert reply.result("get_outdoor_temperature", content) == sentence


def test_a_long_result_is_cut_for_the_ear() -> None:
    assert reply.result("read_book", "word " * 100_000) == "Word" + " word" * 59 + " and so on."
