"""What `use` returns shows itself as a diff, in words and as markup, and never tells a key or a variable's value."""

from __future__ import annotations

from typing import Any

import pytest

from patter_nb.agent import Agent, describe_change
from patter_nb.display import mimebundle
from patter_nb.events import AgentChanged
from patter_nb.patter import Patter
from patter_nb.testing import ScriptedLLM


class Keyed(ScriptedLLM):
    """A model whose every attribute and repr tell its key."""

    api_key = "sk-123456"

    def __repr__(self) -> str:
        return f"Keyed({self.api_key})"


class Other(Keyed):
    provider, model = "other", "large"


def look_up(city: str) -> str:
    """Look it up."""
    return city


def with_days() -> Any:
    def look_up(city: str, days: int = 3) -> str:
        """Look it up."""
        return city * days

    return look_up


def set_timer(minutes: int) -> str:
    """Set a timer."""
    return str(minutes)


def changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, str]:
    return mimebundle(AgentChanged(describe_change(Agent(**before), Agent(**after)), "turn"))


@pytest.mark.parametrize(
    ("before", "after", "rows"),
    [
        ({"llm": Keyed([])}, {"llm": Other([])}, ["  llm", "    ~ scripted script → other large"]),
        ({"llm": Keyed([])}, {"llm": Keyed([])}, ["  llm", "    ~ scripted script, another"]),
        (
            {"system_prompt": "Be kind.\nSpeak French.\nAsk once.\nSay goodbye."},
            {"system_prompt": "Be kind.\nSpeak Dutch.\nAsk once.\nSay goodbye."},
            ["  system_prompt", "      Be kind.", "    - Speak French.", "    + Speak Dutch.", "      Ask once."],
        ),
        ({"tools": [look_up]}, {"tools": [look_up, set_timer]}, ["  tools", "    + set_timer(minutes: integer)"]),
        ({"tools": [look_up, set_timer]}, {"tools": [set_timer]}, ["  tools", "    - look_up(city: string)"]),
        (
            {"tools": [look_up]},
            {"tools": [with_days()]},
            ["  tools", "    ~ look_up(city: string) → look_up(city: string, days: integer)"],
        ),
        (
            {"tools": [with_days()]},
            {"tools": [with_days()]},
            ["  tools", "    ~ the same names and arguments, other functions or descriptions"],
        ),
        ({"variables": {"pin": "4711", "a": 1}}, {"variables": {"pin": "0815", "a": 1}}, ["  variables", "    ~ pin, a: other values"]),
        ({"variables": {"pin": "4711"}}, {"variables": {"name": "Ann"}}, ["  variables", "    + name", "    - pin"]),
    ],
    ids=["another vendor", "another of one vendor", "prompt", "one more", "one less", "signature", "function", "values", "names"],
)
def test_a_change_is_a_diff(before: dict[str, Any], after: dict[str, Any], rows: list[str]) -> None:
    shown = changed(before, after)
    assert shown["text/plain"].splitlines() == ["Agent changed, from the next turn on", *rows]
    for row in rows:
        assert row.strip(" +-~").replace(">", "&gt;") in shown["text/html"]
    for text in shown.values():
        assert not any(secret in text for secret in ("sk-123456", "4711", "0815"))


def test_a_long_prompt_is_cut_and_foreign_markup_is_text() -> None:
    shown = changed({}, {"system_prompt": "\n".join(f"<b>{number}</b>" for number in range(1000))})
    assert "960 more lines not shown" in shown["text/plain"]
    assert "960 more lines not shown" in shown["text/html"]
    assert "&lt;b&gt;7&lt;/b&gt;" in shown["text/html"]
    assert all(len(text) < 20_000 for text in shown.values())


async def test_what_use_gives_and_its_event_show_it() -> None:
    async with Patter().serve(Agent(llm=ScriptedLLM([])), name="diff") as session:
        given = session.use(system_prompt="Be brief.", when="now")
        assert given._repr_mimebundle_()["text/plain"] == "\n".join(
            ["Agent changed now, in the middle of what it says", "  system_prompt", "    + Be brief."]
        )
        (event,) = session.events.of(AgentChanged)
        assert "+ <bdi>Be brief.</bdi>" in event._repr_mimebundle_()["text/html"]
        assert session.use()._repr_mimebundle_()["text/plain"] == "Agent: nothing changed"
