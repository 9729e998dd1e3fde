"""Who answers where nobody was named: OpenAI's model with a key, the local one without, and else an error that lists the ways out."""

from __future__ import annotations

import os

import pytest

from patter_nb.clock import ManualClock
from patter_nb.errors import PatterConfigError
from patter_nb.llm.on_message import OnMessageLLM
from patter_nb.llm.openai import OpenAILLM
from patter_nb.patter import KEYS, Patter, _complete
from patter_nb.testing import ScriptedLLM, WireServer
from patter_nb.transports.keyboard import KeyboardTransport

phone = Patter()


def test_no_test_sees_a_developers_key() -> None:
    assert not [name for name in KEYS if name in os.environ]


async def test_seed_row_06_a_key_of_openai_is_enough_to_be_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patter_nb.llm.local.local_model_is_installed", lambda: True)
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    async with WireServer(["Hello from the wire."]) as server:
        monkeypatch.setattr(OpenAILLM, "default_base_url", server.openai_url)
        async with phone.serve(phone.agent(), transport=KeyboardTransport(ManualClock()), name="test") as session:
            turn = await session.ask("Hi")
            assert isinstance(session.llm, OpenAILLM)
    assert (turn.agent_text, turn.provider, turn.model) == ("Hello from the wire.", "openai", "gpt-4o-mini")
    assert "test-key" not in repr(session.agent) + repr([event.to_dict() for event in session.events])


def test_a_key_does_not_come_before_what_was_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    llm = ScriptedLLM([])
    assert _complete(phone.agent(llm=llm), None).llm is llm
    assert _complete(phone.agent(), llm).llm is llm
    answering = OnMessageLLM(lambda message: "Hi.")
    assert _complete(phone.agent(), answering).llm is answering


@pytest.mark.parametrize("key", [None, "", "  "])
@pytest.mark.parametrize("other", [None, "ANTHROPIC_API_KEY", "GROQ_API_KEY"])
def test_without_openais_key_the_remedies_are_named(monkeypatch: pytest.MonkeyPatch, key: str | None, other: str | None) -> None:
    monkeypatch.setattr("patter_nb.llm.local.local_model_is_installed", lambda: False)
    for name, value in (("OPENAI_API_KEY", key), (other, "test-key")):
        if name is not None and value is not None:
            monkeypatch.setenv(name, value)
    with pytest.raises(PatterConfigError) as raised:
        phone.serve(phone.agent())
    told = str(raised.value)
    assert not [name for name in (*KEYS, "LocalLLM()", "ScriptedLLM", "on_message=") if name not in told]
    assert "test-key" not in told
