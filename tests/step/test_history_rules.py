"""The validators find what vendors reject; a validator that never complains would prove nothing."""

from __future__ import annotations

from typing import Any

import pytest
from history_rules import faults, request_faults

USER = {"role": "user", "content": "Hi"}
SAID = {"role": "assistant", "content": "Hello."}


def called(*ids: str, name: str = "one", arguments: str = "{}", content: str | None = None) -> dict[str, Any]:
    calls = [{"id": id, "type": "function", "function": {"name": name, "arguments": arguments}} for id in ids]
    return {"role": "assistant", "content": content, "tool_calls": calls}


def result(id: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": "ok"}


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [SAID, USER],
        [{"role": "system", "content": "Be kind."}, USER, SAID],
        [USER, called("a", "b"), result("b"), result("a"), SAID],
        [USER, called("a"), result("a"), called("b", content="And"), result("b"), USER],
    ],
)
def test_what_every_vendor_takes(messages: list[dict[str, Any]]) -> None:
    assert faults(messages) == []


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([result("a")], "answers no call"),
        ([USER, called("a"), result("b")], "answers no call"),
        ([USER, called("a"), SAID, result("a")], "have no answer"),
        ([USER, called("a", "b"), result("a")], "have no answer"),
        ([USER, called("a"), result("a"), called("a"), result("a")], "ids repeat"),
        ([SAID, called("a"), result("a")], "two assistant messages"),
        ([USER, USER], "two user messages"),
        ([USER, {"role": "system", "content": "x"}], "system message in the middle"),
        ([{"role": "user", "content": " "}], "user says ' '"),
        ([USER, {"role": "assistant", "content": None}], "assistant says None"),
        ([USER, called("a", content=" "), result("a")], "assistant says ' '"),
        ([USER, called("a", name="not a name"), result("a")], "named 'not a name'"),
        ([USER, called("a", arguments="{"), result("a")], "no JSON"),
        ([USER, called("a", arguments="[]"), result("a")], "no object"),
        ([called("a"), result("a"), called("b"), result("b"), SAID, {"role": "robot", "content": "x"}], "unknown role"),
    ],
)
def test_what_some_vendor_rejects(messages: list[dict[str, Any]], complaint: str) -> None:
    assert complaint in " ".join(faults(messages))


@pytest.mark.parametrize("messages", [[], [USER, SAID]])
def test_a_request_ends_with_something_to_answer(messages: list[dict[str, Any]]) -> None:
    assert "ends with" in request_faults(messages)[0]
