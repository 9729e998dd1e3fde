"""Values in plain examples are found where they are like the argument's name, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from patter_nb.llm.local.encoder import Encoder
from patter_nb.llm.local.files import encoder_files
from patter_nb.llm.local.shown import with_values
from patter_nb.llm.local.toolview import ToolView, view

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(*encoder_files())


def tool(*examples: Any, **properties: dict[str, Any]) -> ToolView:
    function = {"name": "ask_it", "description": "Ask it.", "parameters": {"type": "object", "properties": properties}}
    return view({"type": "function", "function": function, "x-examples": list(examples)})


def shown(found: ToolView) -> list[Any]:
    return [example.arguments for example in found.examples]


def test_a_word_like_the_arguments_name_is_the_value(encoder: Encoder) -> None:
    plain = tool("Is the museum open on Tuesday?", "When can I come on Friday?", day={"type": "string"})
    assert shown(with_values(plain, encoder)) == [{"day": "Tuesday"}, {"day": "Friday"}]


def test_words_like_nothing_are_left_alone(encoder: Encoder) -> None:
    assert shown(with_values(tool("call Anna", contact={"type": "string"}), encoder)) == [None]


def test_what_was_given_stands(encoder: Encoder) -> None:
    given = {"text": "open on Tuesday?", "arguments": {"day": "tomorrow"}}
    assert shown(with_values(tool(given, "on Friday?", day={"type": "string"}), encoder)) == [{"day": "tomorrow"}, {"day": "Friday"}]


def test_of_two_arguments_nothing_is_guessed(encoder: Encoder) -> None:
    plain = tool("on Friday at six", day={"type": "string"}, time={"type": "string"})
    assert with_values(plain, encoder) is plain
