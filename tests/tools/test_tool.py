"""A function becomes a tool: names, descriptions, specs, examples, and what is refused."""

import asyncio
import functools
import inspect
import json
import math
import subprocess
import sys
from dataclasses import replace
from enum import Enum
from typing import Any

import pytest

from patter_nb.errors import PatterConfigError
from patter_nb.tools import Tool, ToolContext, tool


class Room(Enum):
    KITCHEN = "kitchen"
    BATH = "bath"


def get_weather(city: str, days: int = 1) -> str:
    """Look up the weather
    in a city.

    It asks nobody.

    Args:
        city: Where to look.
    """
    return f"{city}: {days}"


def test_bare_decorator_takes_name_description_and_parameters_from_the_function() -> None:
    made = tool(get_weather)
    assert made.spec() == {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Look up the weather in a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "description": "Where to look."}, "days": {"type": "integer", "default": 1}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }


def test_decorator_with_arguments_goes_before_the_function() -> None:
    @tool(name="weather", description="Weather, by name.", timeout_s=3)
    def anything(city: str) -> str:
        """Not this."""
        return city

    assert (anything.name, anything.description, anything.timeout_s) == ("weather", "Weather, by name.", 3)


def test_decorator_with_empty_parentheses() -> None:
    @tool()
    def ping() -> str:
        return "pong"

    assert isinstance(ping, Tool)
    assert ping.description == ""


def test_a_tool_is_called_like_its_function_and_shows_its_signature() -> None:
    made = tool(get_weather)
    assert made("Rome") == "Rome: 1"
    assert made(days=2, city="Rome") == "Rome: 2"
    assert inspect.signature(made) == inspect.signature(get_weather)


async def test_an_async_tool_is_awaited_like_its_function() -> None:
    @tool
    async def later(text: str) -> str:
        await asyncio.sleep(0)
        return text

    assert await later("now") == "now"
    assert later.is_async


def test_a_tool_is_a_value() -> None:
    assert tool(get_weather) == tool(get_weather)
    assert len({tool(get_weather), tool(get_weather), tool(get_weather, name="other")}) == 2
    with pytest.raises(AttributeError):
        tool(get_weather).name = "other"  # type: ignore[misc]


def test_a_copy_still_reads_its_type_hints() -> None:
    def dim(room: Room) -> Room:
        return room

    copied = replace(tool(dim), name="dim_lights")
    assert copied.bind({"room": "bath"}, ToolContext())() is Room.BATH


def test_decorating_a_tool_again_changes_only_what_is_given() -> None:
    made = tool(get_weather, examples=["is it raining"], timeout_s=2)
    assert tool(made) == made
    assert tool(made, timeout_s=5) == replace(made, timeout_s=5)


def test_spec_is_a_copy_that_nobody_else_sees() -> None:
    made = tool(get_weather)
    made.spec()["function"]["parameters"]["properties"].clear()
    assert "city" in made.spec()["function"]["parameters"]["properties"]


def test_examples_are_text_or_pairs() -> None:
    def dim(room: Room) -> None: ...

    made = tool(dim, examples=["make it darker", ("dim the bath", {"room": Room.BATH})])
    assert made.spec()["x-examples"] == [
        {"text": "make it darker", "arguments": None},
        {"text": "dim the bath", "arguments": {"room": "bath"}},
    ]
    assert "x-examples" not in tool(dim).spec()


@pytest.mark.parametrize("examples", ["dim the bath", [("dim", {"room": "attic"})], [("dim", {"where": "bath"})], [3], [("dim", "bath")]])
def test_examples_that_could_not_be_called_are_refused(examples: Any) -> None:
    def dim(room: Room) -> None: ...

    with pytest.raises(PatterConfigError, match="dim") as raised:
        tool(dim, examples=examples)
    assert raised.value.hint


@pytest.mark.parametrize("name", ["", "get weather", "wetter-für-morgen", "x" * 65, "a\n", None, 3])
def test_a_bad_name_is_refused_with_the_remedy(name: Any) -> None:
    with pytest.raises(PatterConfigError, match="name") as raised:
        Tool(name, handler=get_weather)
    assert "letters" in str(raised.value)


def test_a_lambda_needs_a_name() -> None:
    with pytest.raises(PatterConfigError, match="lambda"):
        tool(lambda city: city)
    assert tool(lambda city: city, name="echo").name == "echo"


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({}, "no handler"),
        ({"handler": "get_weather"}, "no handler"),
        ({"handler": get_weather, "description": 3}, "description"),
        ({"handler": get_weather, "timeout_s": 0}, "timeout_s"),
        ({"handler": get_weather, "timeout_s": math.nan}, "timeout_s"),
        ({"handler": get_weather, "timeout_s": "10"}, "timeout_s"),
        ({"handler": get_weather, "parameters": ["city"]}, "no dict"),
        ({"handler": get_weather, "parameters": {"city": {"type": "string"}}}, '"type": "object"'),
        ({"handler": get_weather, "parameters": {"type": "object", "properties": []}}, "no JSON schema"),
        ({"handler": get_weather, "parameters": {"type": "object", "properties": {"city": {"type": "text"}}}}, "no JSON schema"),
        ({"handler": get_weather, "parameters": {"type": "object", "properties": {}, "required": ["city"]}}, "require city"),
    ],
)
def test_a_bad_tool_is_refused_with_cause_and_remedy(keywords: dict[str, Any], said: str) -> None:
    with pytest.raises(PatterConfigError, match=said) as raised:
        Tool("get_weather", **keywords)
    assert raised.value.hint


def test_an_unknown_keyword_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="handlr"):
        Tool("get_weather", handlr=get_weather)  # type: ignore[call-arg]


def test_repr_is_short_also_without_properties() -> None:
    assert repr(tool(get_weather)) == "Tool(get_weather(city, days))"
    assert repr(Tool("anything", parameters={"type": "object"}, handler=lambda **given: given)) == "Tool(anything())"


def test_partials_and_callable_objects_are_tools() -> None:
    class Greeter:
        """Greets people."""

        def __call__(self, name: str) -> str:
            return f"Hello {name}"

    part = Tool("rome", handler=functools.partial(get_weather, "Rome"))
    assert list(part.spec()["function"]["parameters"]["properties"]) == ["days"]
    assert part.description == "Look up the weather in a city."
    greet = Tool("greet", handler=Greeter())
    assert (greet("Ann"), greet.description) == ("Hello Ann", "Greets people.")


def test_building_tools_is_what_loads_pydantic() -> None:
    script = (
        "import sys, json, patter_nb.tools, patter_nb.tools.executor;"
        "print(json.dumps([m for m in ('pydantic', 'jsonschema', 'docstring_parser', 'numpy') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout) == []
