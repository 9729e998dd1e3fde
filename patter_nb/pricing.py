"""What a turn costs: tokens, sound and characters by one's own prices, by those that genai-prices keeps, else by our own list of speech.

What has no price is None, never nothing. That package carries the prices of its release and looks up nothing over the network. It is loaded
when a part that costs is first used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final, TypeAlias

from patter_nb.errors import PatterConfigError
from patter_nb.events import SpeechUsed
from patter_nb.llm.base import LLMChunk
from patter_nb.speech_rates import CHARACTERS, MINUTE

__all__ = ["Prices", "Pricing", "load_prices"]

Rates: TypeAlias = Mapping[str, Decimal | int | float | str]
"""USD for a million tokens: "input" and "output", and where they differ from "input" "cache_read" and "cache_write"; of speech for a
"minute" of sound, or for 1,000 "characters"."""

Pricing: TypeAlias = Mapping[str, Mapping[str, Rates]]
"""Rates by model by provider: {"openai_compatible": {"my-model": {"input": 0.10, "output": 0.40}}, "deepgram": {"nova-3": {"minute":
"0.0048"}}, "cartesia": {"sonic-3": {"characters": "0.03"}}}."""

_SOUND: Final = ("input_audio_tokens", "cache_audio_read_tokens", "output_audio_tokens")
"""Parts of a count that an engine tells under its own name, since sound has another price than text."""
_MILLION: Final = Decimal(1_000_000)
_NEEDED: Final = ("input", "output")
_TOKENS: Final = (*_NEEDED, "cache_read", "cache_write")
_SPEECH: Final = ("minute", "characters")
_KNOWN: Final = (*_TOKENS, *_SPEECH)
_EXAMPLE: Final = (
    'For example pricing={"openai_compatible": {"my-model": {"input": 0.10, "output": 0.40}}}, in USD for a million tokens; '
    'for speech {"minute": "0.0048"}, or {"characters": "0.03"} for 1,000 of them.'
)
_DATE: Final = re.compile(r"-(\d{4}-\d\d-\d\d|\d{4})$")


class Prices:
    """The prices of one `Patter`: `own` ones first. Raises `PatterConfigError` for rates that are none.

    >>> usage = LLMChunk("usage", input_tokens=1_000_000, output_tokens=500_000)
    >>> Prices({"me": {"mine": {"input": 2, "output": "0.40"}}}).cost(usage, "me", "mine"), Prices().cost(usage, "me", "mine")
    (Decimal('2.20'), None)
    """

    def __init__(self, own: Pricing | None = None) -> None:
        if own is not None and not isinstance(own, Mapping):
            raise PatterConfigError(f"pricing is {type(own).__name__}, not a dict.", hint=_EXAMPLE)
        named = [(provider, model, rates) for provider, models in (own or {}).items() for model, rates in _items(models)]
        self._own = {(provider, model): _checked(provider, model, rates) for provider, model, rates in named}

    def has_own(self, provider: str, model: str | None) -> bool:
        """Whether there is a price of one's own for this model, which holds also where it would be free."""
        return (provider, model) in self._own

    def cost(self, usage: LLMChunk, provider: str, model: str | None) -> Decimal | None:
        """USD for a count of tokens of this model of this provider, None where they have no price."""
        if model is None:
            return None
        own = self._own.get((provider, model), {})
        return _by_rates(usage, own) if "input" in own else _by_package(usage, provider, model)

    def speech(self, used: SpeechUsed) -> Decimal | None:
        """USD for what was heard or spoken: zero for what runs here, None where the price, or how much it was, is not known.

        Tokens where they were told and have a price, else characters, else minutes.

        >>> heard, spoken = SpeechUsed("stt", "deepgram", "nova-3", True, seconds=30), SpeechUsed("tts", "me", "mine", True)
        >>> Prices().speech(heard), Prices().speech(spoken)
        (Decimal('0.0024'), None)
        """
        names = [name for name in (used.tariff, used.model) if name is not None]
        for own in (self._own[used.provider, name] for name in names if (used.provider, name) in self._own):
            if (cost := _own_speech(used, own)) is not None:
                return cost
        if not used.costs:
            return Decimal(0)
        return _listed(used, _DATE.sub("", names[0])) if names else None


def load_prices() -> None:
    """Load what is known of prices, which takes a fifth of a second, before somebody waits for it. In any thread."""
    import genai_prices  # noqa: F401


def _by_rates(usage: LLMChunk, rates: Mapping[str, Decimal]) -> Decimal:
    counts = (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens)
    paid = (rates.get(name, rates["input"]) * (count or 0) for name, count in zip(_TOKENS, counts, strict=True))
    return sum(paid, Decimal(0)) / _MILLION


def _own_speech(used: SpeechUsed, rates: Mapping[str, Decimal]) -> Decimal | None:
    if used.tokens and "input" in rates:
        return sum((_by_rates(tokens, rates) for tokens in used.tokens), Decimal(0))
    return _measured(used, rates.get("characters"), rates.get("minute"))


def _listed(used: SpeechUsed, model: str) -> Decimal | None:
    """By the package, else by our own list: that of a model without its date."""
    by_tokens = [_by_package(tokens, used.provider, used.model or model) for tokens in used.tokens]
    if by_tokens and None not in by_tokens:
        return sum(filter(None, by_tokens), Decimal(0))
    known = _measured_by_package(used, model)
    return _measured(used, CHARACTERS.get((used.provider, model)), MINUTE.get((used.provider, model))) if known is None else known


def _measured(used: SpeechUsed, characters: Decimal | None, minute: Decimal | None) -> Decimal | None:
    if used.characters is not None and characters is not None:
        return characters * used.characters / 1000
    return None if used.seconds is None or minute is None else minute * Decimal(str(used.seconds)) / 60


def _measured_by_package(used: SpeechUsed, model: str) -> Decimal | None:
    from genai_prices import Usage, calc_price

    for amount in ({"input_characters": used.characters}, {"audio_seconds": used.seconds}):
        counted = {name: number for name, number in amount.items() if number}
        try:
            price = calc_price(Usage(**counted), model_ref=model, provider_id=used.provider).total_price if counted else Decimal(0)
        except LookupError:
            return None
        if price:  # zero: the model is charged for by something else
            return price
    return None


def _by_package(usage: LLMChunk, provider: str, model: str) -> Decimal | None:
    from genai_prices import Usage, calc_price

    read, written = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
    extra = usage.extra.get(provider) if isinstance(usage.extra, Mapping) else None
    sound = {name: extra[name] for name in _SOUND if extra.get(name) is not None} if isinstance(extra, Mapping) else {}
    counted = Usage(
        input_tokens=(usage.input_tokens or 0) + read + written,  # there they are part of it
        cache_read_tokens=read or None,
        cache_write_tokens=written or None,
        output_tokens=usage.output_tokens,
        **sound,
    )
    try:
        price = calc_price(counted, model_ref=model, provider_id=provider)
    except LookupError:
        return None
    charged_otherwise = price.model_price.input_mtok is None and any(value is not None for value in vars(price.model_price).values())
    return None if charged_otherwise else price.total_price


def _items(models: object) -> list[tuple[str, object]]:
    if not isinstance(models, Mapping):
        raise PatterConfigError(f"pricing holds {type(models).__name__} for a provider, not a dict of models.", hint=_EXAMPLE)
    return list(models.items())


def _checked(provider: str, model: str, rates: object) -> dict[str, Decimal]:
    where = f"The price of {provider} {model}"
    if not isinstance(rates, Mapping):
        raise PatterConfigError(f"{where} has no rates.", hint=_EXAMPLE)
    by_tokens = any(name in rates for name in _TOKENS) or not any(name in rates for name in _SPEECH)
    if by_tokens and (missing := [name for name in _NEEDED if name not in rates]):
        raise PatterConfigError(f"{where} has no {' and no '.join(missing)}.", hint=_EXAMPLE)
    if unknown := [str(name) for name in rates if name not in _KNOWN]:
        raise PatterConfigError(f"{where} names {', '.join(unknown)}, which is unknown.", hint=f"It takes {', '.join(_KNOWN)}.")
    try:
        checked = {str(name): Decimal(str(rate)) for name, rate in rates.items()}
    except InvalidOperation as error:
        raise PatterConfigError(f"{where} is no number: {dict(rates)}.", hint=_EXAMPLE) from error
    if any(not rate.is_finite() or rate < 0 for rate in checked.values()):
        raise PatterConfigError(f"{where} is below 0, or no number.", hint=_EXAMPLE)
    return checked
