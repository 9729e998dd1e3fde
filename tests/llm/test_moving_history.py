"""A conversation goes on with any other vendor: nothing of it is lost on the way, and nothing in it is refused there."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ways import FIVE, KEY, Vendor

from patter_nb.llm.base import Message
from patter_nb.llm.rounds import ToolRequest, assistant_message, tool_message
from patter_nb.patter import Patter
from patter_nb.testing import Call, WireServer

PAIRS = list(itertools.product(FIVE, FIVE))

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=40).filter(str.strip)
names = st.sampled_from(["get_weather", "set_timer", "title"])
values = st.recursive(st.none() | st.booleans() | st.integers(-999, 999) | texts, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
results = texts | st.dictionaries(st.sampled_from(["a", "b"]), values, max_size=2).map(json.dumps)
arguments = st.dictionaries(st.sampled_from(["city", "title", "n"]), values, max_size=3)
calls = st.lists(st.tuples(names, arguments, results), min_size=1, max_size=3)
turns = st.lists(st.tuples(texts, st.lists(st.tuples(st.just("") | texts, calls), max_size=2), texts), min_size=1, max_size=3)


def conversation(turns: list[Any], vendor: Vendor) -> list[Message]:
    """The messages of a session in which `vendor` answered, with what it wants back."""
    messages: list[Message] = [{"role": "system", "content": "Be brief."}]
    numbers = itertools.count()
    for asked, rounds, said in turns:
        messages.append({"role": "user", "content": asked})
        for text, made in rounds:
            requests = []
            for name, arguments, _ in made:
                id = f"toolu_{next(numbers)}"
                extra = {"google": {"signature": "c2ln", "id": id}} if vendor.name == "google" else None
                requests.append(ToolRequest(id, name, json.dumps(arguments), extra=extra))
            thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
            messages.append(assistant_message(text, requests, [{"anthropic": thought}] if vendor.name == "anthropic" else ()))
            messages += [tool_message(request, result) for request, (_, _, result) in zip(requests, made, strict=True)]
        messages.append(assistant_message(said))
    return [*messages, {"role": "user", "content": "Go on."}]


def told(turns: list[Any]) -> list[Any]:
    """What is said in it, whoever tells it: (who, text), ("call", name, arguments), ("result", name, text or object)."""
    said: list[Any] = []
    for asked, rounds, answer in turns:
        said.append(("user", asked))
        for text, made in rounds:
            said += [("agent", text)] if text else []
            said += [("call", name, arguments) for name, arguments, _ in made]
            said += [("result", name, result) for name, _, result in made]
        said.append(("agent", answer))
    return [*said, ("user", "Go on.")]


def read(vendor: Vendor, body: dict[str, Any], asked: list[Any]) -> list[Any]:
    """The same out of a request of this vendor's."""
    return {"openai": _read_openai, "anthropic": _read_anthropic, "google": _read_google}[vendor.shape](body, asked)


def _read_openai(body: dict[str, Any], _: list[Any]) -> list[Any]:
    said, named = [], {}
    for message in body["messages"]:
        assert "extra" not in message
        match message["role"]:
            case "system":
                assert message["content"] == "Be brief."
            case "tool":
                said.append(("result", named[message["tool_call_id"]], message["content"]))
            case role:
                if message["content"]:
                    said.append(("user" if role == "user" else "agent", message["content"]))
        for call in message.get("tool_calls", ()):
            assert "extra" not in call
            named[call["id"]] = call["function"]["name"]
            said.append(("call", call["function"]["name"], json.loads(call["function"]["arguments"])))
    return said


def _read_anthropic(body: dict[str, Any], _: list[Any]) -> list[Any]:
    said, named = [], {}
    assert body["system"][0]["text"] == "Be brief."
    assert [message["role"] for message in body["messages"]] == (["user", "assistant"] * len(body["messages"]))[: len(body["messages"])]
    for message in body["messages"]:
        content = message["content"]
        for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            match block["type"]:
                case "text":
                    said.append(("user" if message["role"] == "user" else "agent", block["text"]))
                case "tool_use":
                    named[block["id"]] = block["name"]
                    said.append(("call", block["name"], block["input"]))
                case "tool_result":
                    said.append(("result", named[block["tool_use_id"]], block["content"]))
    return said


def _read_google(body: dict[str, Any], asked: list[Any]) -> list[Any]:
    said: list[Any] = []
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    for content in body["contents"]:
        for part in content["parts"]:
            if "text" in part:
                said.append(("user" if content["role"] == "user" else "agent", part["text"]))
            elif "functionCall" in part:
                said.append(("call", part["functionCall"]["name"], part["functionCall"]["args"]))
            else:
                response = part["functionResponse"]["response"]
                said.append(("result", part["functionResponse"]["name"], response))
    # here a result is an object: what was one is one, and everything else is the value of "result"
    return [_as_text(mine, theirs) for mine, theirs in itertools.zip_longest(said, asked)]


def _as_text(mine: Any, theirs: Any) -> Any:
    if mine is None or theirs is None or mine[0] != "result" or theirs[0] != "result":
        return mine
    try:
        value = json.loads(theirs[2])
    except ValueError:
        value = theirs[2]
    return ("result", mine[1], theirs[2]) if mine[2] == (value if isinstance(value, dict) else {"result": value}) else mine


@pytest.mark.parametrize(("before", "after"), PAIRS, ids=lambda vendor: vendor.name)
@settings(max_examples=20, deadline=None)
@given(turns=turns)
def test_nothing_is_lost_between_any_two(before: Vendor, after: Vendor, turns: list[Any]) -> None:
    body: Any = after.llm(KEY).encode(conversation(turns, before), None)
    assert read(after, body, told(turns)) == told(turns)
    opaque = json.dumps(body)
    assert ("signature" in opaque) <= (before is after), "what is one vendor's own goes to no other"


@pytest.mark.parametrize(("before", "after"), PAIRS, ids=lambda vendor: vendor.name)
async def test_a_session_goes_on_with_the_other(before: Vendor, after: Vendor) -> None:
    def get_weather(city: str) -> str:
        return f"Sunny in {city}."

    first = [[Call("get_weather", {"city": "Rome"}), Call("get_weather", {"city": "Oslo"})], "Sunny in both."]
    async with WireServer([*first, "As I said."]) as server:
        one, other = (vendor.llm(KEY, base_url=vendor.base_url(server), model=vendor.model) for vendor in (before, after))
        agent = Patter().agent("Be brief.", llm=one, tools=[get_weather])
        async with Patter().serve(agent, name=f"{before.name} to {after.name}") as session:
            assert (await session.ask("Rome and Oslo?")).agent_text == "Sunny in both."
            session.llm = other
            turn = await session.ask("Again?")
            assert (turn.agent_text, turn.provider) == ("As I said.", after.name)
        sent = [request.body for request in server.requests if request.method == "POST"][-1]
    for city in ("Rome", "Oslo"):
        assert json.dumps(sent).count(f"Sunny in {city}.") == 1
