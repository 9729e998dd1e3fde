"""An agent is a frozen, validated description."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patter_nb.agent import PARTS, Agent, Filler, Guardrail, PipelineHooks, describe_change
from patter_nb.errors import PatterConfigError
from patter_nb.patter import Patter
from patter_nb.pipeline.turn_taking import TurnTaking
from patter_nb.testing import RecordedVAD, ScriptedLLM, ScriptedSTT, ScriptedTTS
from patter_nb.tools.executor import DefaultToolExecutor
from patter_nb.tools.tool import Tool, tool

phone = Patter()


def look(city: str) -> str:
    """Look."""
    return city


def test_an_agent_without_anything_is_fine() -> None:
    agent = phone.agent()
    assert agent == Agent()
    assert (agent.tools, agent.variables, agent.hooks, agent.turn_taking) == ((), {}, PipelineHooks(), TurnTaking())


def test_it_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        phone.agent().llm = ScriptedLLM([])  # type: ignore[misc]


def test_functions_become_tools() -> None:
    agent = phone.agent(tools=[look, tool(look, name="watch")])
    assert [(type(item), item.name) for item in agent.tools] == [(Tool, "look"), (Tool, "watch")]


def test_what_is_given_as_any_iterable_is_kept_as_a_tuple() -> None:
    rail = Guardrail("g")
    agent = phone.agent(tools=iter([look]), guardrails=iter([rail]), text_transforms=iter([str.upper]))
    assert (len(agent.tools), agent.guardrails, agent.text_transforms) == (1, (rail,), (str.upper,))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"system_prompt": None}, "system_prompt is NoneType, not text"),
        ({"first_message": 5}, "first_message is int"),
        ({"language": None}, "language"),
        ({"error_message": b"Sorry"}, "error_message is bytes"),
        ({"llm": "gpt-4o"}, "llm is str, .*stream"),
        ({"llm": ScriptedLLM}, r"Write llm=ScriptedLLM\(\)"),
        ({"stt": "deepgram"}, "stt is str"),
        ({"stt": ScriptedSTT}, r"Write stt=ScriptedSTT\(\)"),
        ({"tts": ScriptedSTT([])}, "tts is ScriptedSTT"),
        ({"vad": 0.5}, "vad is float"),
        ({"tools": "look"}, "tools is str"),
        ({"tools": {"look": look}}, "tools is dict"),
        ({"tools": look}, "tools is function"),
        ({"tools": [look, look]}, "Two tools are named 'look'"),
        ({"tools": ["look"]}, "An item of tools is 'look', no function"),
        ({"guardrails": Guardrail("g")}, "guardrails is Guardrail, not a list"),
        ({"guardrails": ["secret"]}, "an item of guardrails is str"),
        ({"variables": "name"}, "variables is str"),
        ({"hooks": {"before_llm": look}}, "hooks is dict"),
        ({"executor": look}, "executor has no method execute"),
        ({"tts": type("Mute", (), {"synthesize": look, "aclose": look})()}, "tts is Mute, which has no format"),
        ({"executor": type("Bare", (), {"execute": look})()}, "or no method having.*DefaultToolExecutor"),
        ({"filler": 5}, "filler is int"),
        ({"turn_taking": {"endpointing_ms": 500}}, "turn_taking is dict"),
        ({"text_transforms": [None]}, "None in text_transforms is no function"),
    ],
)
def test_a_wrong_part_is_refused_with_its_name(parts: dict[str, Any], message: str) -> None:
    makers: tuple[Callable[..., Agent], ...] = (phone.agent, Agent, phone.agent().replace)
    for make in makers:
        with pytest.raises(PatterConfigError, match=message) as raised:
            make(**parts)
        assert raised.value.hint


@pytest.mark.parametrize(
    ("keyword", "hint"), [("system_promt", "system_prompt="), ("tool", "tools="), ("guardrail", "guardrails="), ("vda", "vad=")]
)
def test_an_unknown_keyword_is_a_type_error_with_a_hint(keyword: str, hint: str) -> None:
    makers: tuple[Callable[..., Agent], ...] = (phone.agent, phone.agent().replace)
    for make in makers:
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{keyword}'. Did you mean {hint}"):
            make(**{keyword: 1})


def test_the_keywords_of_agent_are_the_parts() -> None:
    assert set(phone.agent.__kwdefaults__ or {}) | {"system_prompt"} == set(PARTS)


def test_replace_changes_only_what_is_named() -> None:
    agent = phone.agent("Be brief.", tools=[look], variables={"a": 1})
    changed = agent.replace(system_prompt="Be long.")
    assert (changed.system_prompt, changed.tools, changed.variables) == ("Be long.", agent.tools, {"a": 1})
    assert agent.system_prompt == "Be brief."


# --- rendering


@pytest.mark.parametrize(
    ("text", "variables", "rendered"),
    [
        ("Hi {name}", {"name": "Ann"}, "Hi Ann"),
        ("Hi {name} {name}{x}", {"name": 5}, "Hi 5 5{x}"),
        ("{a}{b}", {"a": "{b}", "b": "{a}"}, "{b}{a}"),
        ('{"json": {name}}', {"name": "x", "json": "no"}, '{"json": x}'),
        ("{a.b} {a+}", {"a.b": 1, "a+": 2}, "1 2"),
        ("Hi {name}", {}, "Hi {name}"),
        ("{}", {"": "x"}, "x"),
        ("Hi {name}", {"name": r"\1 \g<0>"}, r"Hi \1 \g<0>"),
    ],
)
def test_variables_are_filled_in_once(text: str, variables: dict[str, Any], rendered: str) -> None:
    assert phone.agent(variables=variables).render(text) == rendered


@given(st.text(), st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=3))
def test_rendering_never_fails_and_leaves_other_text_alone(text: str, variables: dict[str, str]) -> None:
    rendered = phone.agent(variables=variables).render(text)
    if not any(f"{{{name}}}" in text for name in variables):
        assert rendered == text


# --- fillers and turn taking


def test_a_filler_is_text_or_a_filler_and_never_empty() -> None:
    assert phone.agent(filler="One moment.").filler == Filler("One moment.", 4000.0)
    assert phone.agent(filler="  ").filler is None
    for wrong in (("  ", 4000.0), ("Hm.", -1.0), ("Hm.", float("nan"))):
        with pytest.raises(PatterConfigError, match="says nothing, or at no time"):
            Filler(*wrong)


@pytest.mark.parametrize("options", [{"endpointing_ms": 100}, {"confirm_ms": 0}])
def test_times_that_cannot_work_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(PatterConfigError):
        TurnTaking(**options)  # type: ignore[arg-type]


# --- what is told of it


class Keyed(ScriptedLLM):
    provider = "keyed"
    model = "k-1"
    api_key = "sk-secret"

    def __repr__(self) -> str:
        return self.api_key


def test_parts_name_what_runs() -> None:
    agent = phone.agent(llm=Keyed([]), stt=ScriptedSTT([]), tts=ScriptedTTS(), vad=RecordedVAD([]))
    assert agent.parts() == {"llm": "keyed k-1", "stt": "scripted script", "tts": "scripted script", "vad": "recorded"}
    assert "sk-secret" not in repr(agent)


def test_a_change_is_told_in_short_and_without_keys() -> None:
    before = phone.agent("old", llm=ScriptedLLM([]), variables={"key": "sk-secret"})
    after = before.replace(
        system_prompt="new",
        llm=Keyed([]),
        tools=[look],
        guardrails=[Guardrail("rude")],
        variables={"key": "sk-other"},
        filler="Hm.",
        text_transforms=[str.upper],
    )
    changes = describe_change(before, after)
    assert changes["system_prompt"] == ("old", "new")
    assert changes["llm"] == ("scripted script", "keyed k-1")
    assert changes["tools"] == ("none", "look(city: string)")
    assert changes["guardrails"] == ("none", "rude")
    assert "sk-" not in str(changes)
    assert set(changes) == {"system_prompt", "llm", "tools", "guardrails", "variables", "filler", "text_transforms"}
    assert describe_change(before, before) == {}


def test_an_executor_may_be_any_object_that_executes() -> None:
    executor = DefaultToolExecutor()
    assert phone.agent(executor=executor).executor is executor


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: TurnTaking(endpointing_ms="500"),  # type: ignore[arg-type]
        lambda: TurnTaking(endpointing_ms=float("nan")),  # type: ignore[arg-type]
        lambda: TurnTaking(confirm_ms=True),
        lambda: Filler("One moment.", after_ms="soon"),  # type: ignore[arg-type]
        lambda: Guardrail("g", blocked_terms=[1]),  # type: ignore[list-item]
        lambda: Guardrail("g", replacement=None),  # type: ignore[arg-type]
        lambda: PipelineHooks(before_llm=5),  # type: ignore[arg-type]
        lambda: PipelineHooks(after_llm={"on_sentence": "shorten"}),  # type: ignore[arg-type]
    ],
)
def test_values_of_the_wrong_kind_are_refused_at_once(wrong: Callable[[], object]) -> None:
    with pytest.raises(PatterConfigError):
        wrong()


def test_changing_the_variables_afterwards_does_not_change_the_agent() -> None:
    variables = {"name": "Ada"}
    agent = phone.agent("You are {name}.", variables=variables)
    variables["name"] = "Bob"
    assert agent.render(agent.system_prompt) == "You are Ada."
    with pytest.raises(TypeError):
        agent.variables["name"] = "Bob"  # type: ignore[index]
