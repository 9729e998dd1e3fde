"""A conversation in the order that vendors insist on: every call with its answer behind it, and no answer alone."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from patter_nb.llm.base import Message
from patter_nb.llm.wire.history import arguments_of, called_names, functions, sound, system_text, text_of


def calling(*ids: str) -> Message:
    calls = [{"id": id, "type": "function", "function": {"name": f"do_{id}", "arguments": "{}"}} for id in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def answer(id: str, content: str = "done") -> Message:
    return {"role": "tool", "tool_call_id": id, "content": content}


USER: Message = {"role": "user", "content": "Hi"}


def test_what_is_sound_stays_as_it_is() -> None:
    messages = [USER, calling("a", "b"), answer("a"), answer("b"), {"role": "assistant", "content": "There."}]
    assert sound(messages) == messages


def test_answers_are_brought_into_the_order_of_the_calls() -> None:
    assert sound([USER, calling("a", "b"), answer("b"), answer("a")]) == [USER, calling("a", "b"), answer("a"), answer("b")]


def test_row_18_a_call_without_an_answer_is_given_one() -> None:
    [_, _, first, second] = sound([USER, calling("a", "b"), answer("b")])
    assert (first["tool_call_id"], second) == ("a", answer("b"))
    assert "lost" in json.loads(first["content"])["error"]


def test_row_05_an_answer_without_a_call_is_left_out() -> None:
    assert sound([answer("x"), USER, answer("y"), calling("a"), answer("a"), answer("z")]) == [USER, calling("a"), answer("a")]


SAID: Message = {"role": "assistant", "content": "Well."}
rows = st.sampled_from([USER, SAID, calling("a"), calling("b", "c"), answer("a"), answer("b"), answer("c")])


@given(st.lists(rows, max_size=12))
def test_however_it_comes_it_leaves_sound(messages: list[Any]) -> None:
    left = sound(messages)
    for place, message in enumerate(left):
        ids = [call["id"] for call in message.get("tool_calls", ())]
        assert [each.get("tool_call_id") for each in left[place + 1 : place + 1 + len(ids)]] == ids
        if message["role"] == "tool":
            assert place
            assert left[place - 1]["role"] in ("assistant", "tool")
    assert sound(left) == left
    assert [each for each in left if each["role"] != "tool"] == [each for each in messages if each["role"] != "tool"]


def test_texts_and_arguments_are_read_from_every_form() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]
    assert text_of({"role": "user", "content": parts}) == "ab"
    assert text_of({"role": "assistant", "content": None}) == ""
    systems: list[Message] = [{"role": "system", "content": text} for text in ("One.", " ", "Two.")]
    assert system_text([*systems, USER]) == "One.\n\nTwo."
    for arguments, meant in (('{"n": 1}', {"n": 1}), ("", {}), ("[1]", {}), ("{broken", {}), (None, {})):
        assert arguments_of({"function": {"arguments": arguments}}) == meant
    assert called_names([calling("a"), USER]) == {"a": "do_a"}
    bare = {"name": "f", "parameters": {}}
    assert functions([{"type": "function", "function": bare, "x-examples": ["hi"]}, bare]) == [bare, bare]
    assert functions(None) == []
