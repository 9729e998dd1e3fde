"""The providers there are to choose from, one table made of their classes: what each is called, what it needs, and whether it costs.

Whoever offers a choice (the console's picker, `session.doctor()`) asks here, so that a new provider appears everywhere once its class is
public. In it is whatever can be made without arguments, once its key or its files are there: not `FallbackLLM`, which needs others, nor
`OpenAICompatibleLLM`, which needs an address.
"""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import patter_nb

if TYPE_CHECKING:
    from patter_nb.downloads.needs import Needs

__all__ = ["Offer", "Part", "offers"]

Part: TypeAlias = Literal["stt", "llm", "tts", "engine"]

_ROOMS: Final[dict[str, Part]] = {"stt": "stt", "llm": "llm", "tts": "tts", "engines": "engine"}


@dataclass(frozen=True, slots=True)
class Offer:
    """One provider: its public `name`, which `part` of an agent it is, and what its class says of it.

    keys             environment variables for its key, the first that is set is used; empty: it needs none
    settings         environment variables that must be set besides
    models           names to suggest, its default first; empty where it has no choice of model
    takes_any_model  whether other names may be passed as well
    needs            what has to be installed, None for nothing
    """

    name: str
    part: Part
    provider: str
    keys: tuple[str, ...]
    settings: tuple[str, ...]
    models: tuple[str, ...]
    takes_any_model: bool
    costs: bool
    needs: Needs | None

    @property
    def key_set(self) -> str | None:
        """The environment variable that its key comes from now; never the key."""
        return next((name for name in self.keys if _is_set(name)), None)

    @property
    def missing_variables(self) -> tuple[str, ...]:
        """What has to be set in the environment: of its `keys` the first, where none is."""
        key = self.keys[:1] if self.key_set is None else ()
        return (*key, *(name for name in self.settings if not _is_set(name)))

    @property
    def commands(self) -> tuple[str, ...]:
        """What to run in a terminal to bring what is not installed."""
        return () if self.needs is None else self.needs.commands

    @property
    def is_ready(self) -> bool:
        """Whether it can be made and used as things are: its key is set, or what it needs is here."""
        return not self.missing_variables and not self.commands

    def make(self, model: str | None = None) -> Any:
        """A new instance, of `model` where one is named. Opens nothing. Raises `PatterConfigError` for what it does not take."""
        return getattr(patter_nb, self.name)(**({} if model is None else {"model": model}))


@cache
def offers() -> tuple[Offer, ...]:
    """All of them, in the order in which the package names them."""
    found = []
    for home, names in patter_nb._HOMES.items():
        part = _ROOMS.get(home.split(".")[1])
        found += [_offer(name, part, getattr(patter_nb, name)) for name in names if part is not None and _is_offered(name)]
    return tuple(found)


def _is_offered(name: str) -> bool:
    """Whether a public name is a provider that can be made as it is."""
    kind = getattr(patter_nb, name)
    if not (isinstance(kind, type) and any(isinstance(vars(base).get("provider"), str) for base in kind.__mro__)):
        return False
    given = [p for p in inspect.signature(kind).parameters.values() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    return all(p.default is not p.empty for p in given) and _default_model(kind) != ""


def _offer(name: str, part: Part, kind: Any) -> Offer:
    """What the class `kind` says."""
    default = _default_model(kind)
    suggested = kind.models if _is_vendor(kind) and part != "engine" else ()
    models = () if default is None else tuple(dict.fromkeys((default, *suggested)))
    return Offer(
        name,
        part,
        kind.provider,
        _keys(kind),
        kind.setting_names if _is_vendor(kind) and part == "engine" else (),
        models,
        default is not None and (kind.costs or part == "llm"),  # a vendor has more than are known here, a language model may be a file
        kind.costs,
        None if _is_vendor(kind) or kind.provider == "browser" else kind.needs,
    )


def _is_vendor(kind: type) -> bool:
    from patter_nb.engines.socket import SocketEngine
    from patter_nb.llm.wire.vendor import VendorLLM
    from patter_nb.stt.wire.vendor import VendorSTT
    from patter_nb.tts.wire.vendor import VendorTTS

    return issubclass(kind, (SocketEngine, VendorLLM, VendorSTT, VendorTTS))


def _keys(kind: Any) -> tuple[str, ...]:
    from patter_nb.stt.wire.vendor import VendorSTT
    from patter_nb.tts.wire.vendor import VendorTTS

    if issubclass(kind, (VendorSTT, VendorTTS)):
        return (kind.key_name,)
    return tuple(kind.key_names) if _is_vendor(kind) else ()


def _default_model(kind: Any) -> str | None:
    """The model that it takes by itself; None where it has no choice, "" where one must be named."""
    from patter_nb.llm.openai_shape import OpenAILLMProvider

    if issubclass(kind, OpenAILLMProvider):
        return str(kind.default_model)
    model = inspect.signature(kind).parameters.get("model")
    return None if model is None or model.default is None else str(model.default)


def _is_set(name: str) -> bool:
    return bool(os.environ.get(name, "").strip())
