from typing import Any

import pytest

from patter_nb.errors import PatterConfigError
from patter_nb.llm.local.candidates import candidates, was_said
from patter_nb.llm.local.toolview import view


def tool(*, examples: tuple[Any, ...] = (), **properties: dict[str, Any]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": [*properties]}
    function = {"name": "brew_tea", "description": "Brew a pot of tea.", "parameters": parameters}
    return {"type": "function", "function": function, "x-examples": list(examples)}


def said(request: str, schema: dict[str, Any], *, examples: tuple[Any, ...] = ()) -> list[Any]:
    brew = view(tool(value=schema, examples=examples))
    return [candidate.value for candidate in candidates(brew, brew.arguments[0], request)]


def test_only_numbers_that_were_said() -> None:
    assert said("brew four cups, not five", {"type": "integer"}) == [4, 5]
    assert said("brew some cups", {"type": "integer"}) == []


def test_an_integer_is_no_fraction() -> None:
    assert said("two point five litres", {"type": "integer"}) == []
    assert said("two point five litres", {"type": "number"}) == [2.5]


def test_a_time_is_told_in_the_unit_of_the_argument() -> None:
    assert said("let it draw for an hour and a half", {"type": "integer", "description": "in minutes"}) == [
        90,
    ]
    assert said("let it draw for thirty seconds", {"type": "integer", "description": "in minutes"}) == []


def test_half_is_fifty_where_percent_is_meant() -> None:
    assert said("fill it to half", {"type": "integer", "description": "percent of the pot"}) == [50]


def test_only_choices_that_were_named() -> None:
    schema = {"type": "string", "enum": ["green", "black", "earl_grey"]}
    assert said("some greens please", schema) == ["green"]
    assert said("an Earl Grey", schema) == ["earl_grey"]
    assert said("the usual", schema) == []


def test_a_choice_is_known_in_its_inflections() -> None:
    schema = {"type": "string", "enum": ["open", "close", "half"]}
    assert said("would you mind closing it", schema) == ["close"]
    assert said("opened, please", schema) == ["open"]
    assert said("halfway", schema) == ["half"]
    assert said("a hall", schema) == []


def test_words_run_up_to_a_break_and_no_further() -> None:
    runs = said("for Anna, now", {"type": "string"})
    assert "Anna" in runs
    assert "for Anna" in runs
    assert not any("now" in run and "Anna" in run for run in runs)


def test_no_run_breaks_a_number() -> None:
    runs = said("at six thirty", {"type": "string"})
    assert "six thirty" in runs
    assert "thirty" not in runs


def test_the_tools_own_words_are_no_value() -> None:
    examples = ({"text": "brew tea for Emil", "arguments": {"value": "Emil"}},)
    assert "tea" not in said("brew tea", {"type": "string"}, examples=examples)
    assert "Emma" in said("brew tea for Emma", {"type": "string"}, examples=examples)


def test_what_words_cannot_hold_has_no_candidates() -> None:
    assert said("brew tea", {"type": "object"}) == []


def test_an_optional_type_is_its_type() -> None:
    assert said("four cups", {"anyOf": [{"type": "integer"}, {"type": "null"}]}) == [4]
    assert said("four cups", {"type": ["integer", "null"]}) == [4]


def test_a_dict_that_is_no_tool_is_named() -> None:
    with pytest.raises(PatterConfigError, match="is no tool"):
        view({"name": "brew_tea"})


def test_examples_may_be_plain_text() -> None:
    assert [example.text for example in view(tool(examples=("tea please",))).examples] == ["tea please"]


def test_a_list_or_an_object_was_said_when_all_it_holds_was() -> None:
    request = "two eggs and some Milk"
    assert was_said(["milk", "eggs"], request)
    assert was_said({"what": "eggs", "count": 2}, request)
    for value in (["milk", "flour"], {"what": "eggs", "count": 3}, [], {}, [True], [""], [None]):
        assert not was_said(value, request)
