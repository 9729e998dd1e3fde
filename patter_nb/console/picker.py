"""What a page may choose for a stage, and the choice carried out: the console's hand on `session.use`.

A page is told the names of environment variables, never what is in them, and it names what it wants: an offer of the table, and the name of
a model. Nothing else of what it sends reaches the session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import patter_nb
from patter_nb.console.cells import MODEL, name_of_session, using
from patter_nb.errors import PatterConfigError, PatterError
from patter_nb.events import error_to_dict
from patter_nb.offers import Offer, Part, offers

if TYPE_CHECKING:
    from patter_nb.session import Session

__all__ = ["Picker"]

Json: TypeAlias = dict[str, Any]

_PARTS: Final[Mapping[str, tuple[Part, ...]]] = {
    "hears": ("stt",),
    "thinks": ("llm", "engine"),
    "speaks": ("tts",),
    "engine": ("engine",),
}
"""What may take the place of a stage. Who thinks may be an engine, which then hears and speaks as well."""
_TITLES: Final[Mapping[Part, str]] = {
    "stt": "Speech to text",
    "llm": "Language models",
    "tts": "Voices",
    "engine": "Engines: all three in one",
}
_NOBODY: Final[Mapping[Part, str]] = {"stt": "It hears nothing; you type.", "tts": "It speaks nothing; you read."}
_PIPELINE: Final = "Pipeline"
_LONGEST: Final = 200


class Picker:
    """Answers what the pages of `session` ask to choose from, by `send`, and carries their choices out. Works in the session's loop."""

    def __init__(self, session: Session, send: Callable[[Json], None]) -> None:
        self._session = session
        self._send = send

    def show(self, page: str, stage: object) -> None:
        """Tell `page` what there is for `stage`. Looking for it is slow, at first for a part of a second, so a thread does it."""
        if stage not in _PARTS:
            raise ValueError(f"a menu for an unknown stage, {stage!r:.80}")
        looking = self._session.loop.run_in_executor(None, offers)
        looking.add_done_callback(partial(self._show, page, str(stage)))

    def _show(self, page: str, stage: str, looking: asyncio.Future[tuple[Offer, ...]]) -> None:
        session, found = name_of_session(self._session), looking.result()
        groups = [self._group(part, session, found) for part in _PARTS[stage]]
        if stage == "engine":
            groups.append({"title": "Pipeline: one for each", "offers": [self._pipeline(session, found)]})
        self._send({"kind": "menu", "to": page, "stage": stage, "groups": groups})

    def choose(self, page: str, content: Mapping[str, Any]) -> None:
        """Use what `page` has chosen: `name` of an offer for `part`, its `model`, `when`. It is told whether that went well."""
        part, name, model, when = (content.get(key) for key in ("part", "name", "model", "when"))
        if when not in ("turn", "now"):
            raise ValueError(f"a choice for {when!r:.80}")
        told: Json = {"kind": "chosen", "to": page, "name": name, "when": when, "error": None}
        try:
            self._use(self._parts(part, name, model), "now" if when == "now" else "turn")
        except PatterError as error:
            told["error"] = error_to_dict(error)
        self._send(told)

    def _use(self, parts: Mapping[str, Any], when: Literal["turn", "now"]) -> None:
        self._session.use(when=when, **parts)

    def _parts(self, part: object, name: object, model: object) -> dict[str, Any]:
        """What is to be used. Raises `ValueError` for what was never offered, `PatterConfigError` for what cannot be made."""
        if (part, name) == ("engine", _PIPELINE):
            filled = self._filling(offers())
            return {"engine": None, **{each: offer.make() for each, offer in filled.items()}}
        if name is None and part in _NOBODY:
            return {str(part): None}
        offer = next((offer for offer in offers() if (offer.part, offer.name) == (part, name)), None)
        if offer is None:
            raise ValueError(f"a choice of {name!r:.80} for {part!r:.80}, which was not offered")
        return {offer.part: offer.make(_checked(offer, model))}

    def _group(self, part: Part, session: str, found: tuple[Offer, ...]) -> Json:
        """The offers for one part of the agent, and nobody, where that may be."""
        told = [self._offer(offer, session) for offer in found if offer.part == part]
        if part in _NOBODY:
            nobody = {"part": part, "name": None, "badge": "ready", "ready": True, "costs": False, "why": _NOBODY[part]}
            runs = getattr(self._session.agent, part) is None
            told.append({**nobody, "models": [], "any_model": False, "runs": runs, "model": None, "cell": f"{session}.use({part}=None)"})
        return {"title": _TITLES[part], "offers": told}

    def _offer(self, offer: Offer, session: str) -> Json:
        now = getattr(self._session.agent, offer.part)
        runs = type(now) is getattr(patter_nb, offer.name)
        has_models = offer.takes_any_model
        badge, why = _standing(offer)
        return {
            "part": offer.part,
            "name": offer.name,
            "badge": badge,
            "ready": offer.is_ready,
            "costs": offer.costs,
            "why": why,
            "models": list(offer.models) if has_models else [],
            "any_model": has_models,
            "runs": runs,
            "model": now.model if runs and has_models else None,
            "cell": using({offer.part: offer}, session, {offer.part: MODEL if has_models else None}),
        }

    def _pipeline(self, session: str, found: tuple[Offer, ...]) -> Json:
        """A pipeline in the place of the engine that runs: what the agent has besides, and of what it has not the first that is ready."""
        filled = self._filling(found)
        missing = [offer for offer in filled.values() if not offer.is_ready]
        kept = [type(part).__name__ for name in ("stt", "llm", "tts") if (part := getattr(self._session.agent, name)) is not None]
        names = ", ".join((*kept, *(offer.name for offer in filled.values())))
        badge, why = _standing(missing[0]) if missing else ("ready", f"{names}.")
        return {
            **{"part": "engine", "name": _PIPELINE, "badge": badge, "ready": not missing, "why": why, "models": [], "any_model": False},
            **{"costs": any(offer.costs for offer in filled.values()), "runs": False, "model": None},
            "cell": using({"engine": None, **filled}, session, {}),
        }

    def _filling(self, found: tuple[Offer, ...]) -> dict[str, Offer]:
        """For each stage of a pipeline that the agent has nobody for: the first that is ready, rather one that costs nothing.

        Without ears or a voice it can do, if none is ready; somebody has to think.
        """
        agent, filled = self._session.agent, {}
        for part in ("stt", "llm", "tts"):
            if getattr(agent, part) is None:
                best = min((offer for offer in found if offer.part == part), key=lambda offer: (not offer.is_ready, offer.costs))
                if best.is_ready or part == "llm":
                    filled[part] = best
        return filled


def _standing(offer: Offer) -> tuple[str, str]:
    """How it stands with an offer: in a word or two, and in a sentence. Of the environment nothing is told but names."""
    if commands := offer.commands:
        return "not installed", f"Run: {'; then '.join(commands)}"
    if missing := offer.missing_variables:
        unset = [" or ".join(offer.keys) if name in offer.keys else name for name in missing]
        return ("key missing" if offer.key_set is None else "setting missing"), f"Not set: {', '.join(unset)}"
    if offer.key_set is not None:
        return "ready", f"{offer.key_set} is set."
    return "ready", "It runs on this machine." if offer.needs is not None else "Nothing to install, and no key."


def _checked(offer: Offer, model: object) -> str | None:
    """The name of a model as the page gave it. It is written into a cell, too, so that it may hold nothing that ends a string."""
    if model is None or not offer.takes_any_model:
        return None
    if not (isinstance(model, str) and model.isprintable() and 0 < len(model) <= _LONGEST) or set(model) & {'"', "'", "\\"}:
        raise PatterConfigError(f"{offer.name} cannot use a model of that name.", hint=f"For example {offer.models[0]}.")
    return model
