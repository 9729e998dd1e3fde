"""What a request holds that could be the value of an argument: numbers that were said, choices that were named, runs of words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

from patter_nb.errors import MissingExtra
from patter_nb.llm.local.numbers import SECONDS, duration, numbers
from patter_nb.llm.local.toolview import Argument, ToolView

_WORD: Final = re.compile(r"\w(?:[\w.'\u2019:-]*\w)?")
_BREAK: Final = re.compile(r"[,;:.!?]\s")
_DATE: Final = re.compile(r"\b(?:twenty |thirty )?(?:\d+(?:st|nd|rd|th)|first|second|third|\w+th) of [A-Z]\w+")
_POSSESSIVE: Final = re.compile(r"(.*\w)['\u2019]s")
_LONGER_THAN_EXAMPLES: Final = 4
_TELLING: Final = 4
"""A word of so many letters is known by its beginning."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A value that could be meant, and the part of the request that says it."""

    value: Any
    start: int
    end: int

    def overlaps(self, other: Candidate) -> bool:
        return self.start < other.end and other.start < self.end


def candidates(tool: ToolView, argument: Argument, request: str) -> list[Candidate]:
    """The values for `argument` that `request` says; none for a kind of value that words do not hold, such as an object."""
    match argument.kind:
        case "number" | "integer":
            return _numbers_said(argument, request)
        case "enum":
            return [said for choice in argument.choices if (said := _choice_said(choice, request))]
        case "string":
            given = [
                str(example.arguments[argument.name])
                for example in tool.examples
                if example.arguments and example.arguments.get(argument.name)
            ]
            runs = runs_of_words(request, max((len(value.split()) for value in given), default=1) + _LONGER_THAN_EXAMPLES)
            own = _own_words(tool)
            return [run for run in runs if not stems(run.value) <= own]
        case "boolean" | "other":
            return []


def stems(text: str) -> set[str]:
    """The words of `text`, without their endings."""
    return {_stem(match.group()) for match in _WORD.finditer(text)}


def was_said(value: object, request: str) -> bool:
    """Whether all that `value`, a list or an object, holds was said: every word of its texts, and every number."""
    if isinstance(value, dict):
        return bool(value) and all(was_said(entry, request) for entry in value.values())
    if isinstance(value, list):
        return bool(value) and all(was_said(entry, request) for entry in value)
    if isinstance(value, str):
        return bool(value) and stems(value) <= stems(request)
    return any(value in number.readings for number in numbers(request)) and not isinstance(value, bool)


def _own_words(tool: ToolView) -> set[str]:
    """The words by which `tool` speaks of itself; what is made of them alone is its name being called, not a value."""
    own = stems(f"{tool.spoken} {tool.description}")
    for example in tool.examples:
        values = " ".join(str(value) for value in (example.arguments or {}).values())
        own |= stems(example.text) - stems(values)
    return own


def _numbers_said(argument: Argument, request: str) -> list[Candidate]:
    about = f"{argument.spoken} {argument.description}".lower()
    unit = next((unit for unit in SECONDS if re.search(rf"\b{unit}s?\b", about)), None)
    said = numbers(request)
    if unit and any(number.unit for number in said):
        said = [number for number in said if number.unit]
    found: list[Candidate] = []
    for number in said:
        readings = number.readings
        if number.unit and unit:
            time = duration(request, unit)
            readings = () if time is None else (time,)
        elif number.fraction:
            readings = (number.readings[0] * 100,) if "percent" in about else readings
        fitting = [reading for reading in readings if argument.kind == "number" or reading == int(reading)]
        if fitting:
            value = int(fitting[0]) if fitting[0] == int(fitting[0]) else fitting[0]
            found.append(Candidate(value, number.start, number.end))
    return found


def _choice_said(choice: object, request: str) -> Candidate | None:
    """`choice` where each of its words was said, in whatever inflection leaves its stem, or as the beginning of a word ("halfway")."""
    said = {_stem(match.group()): match for match in _WORD.finditer(request)}
    places: list[re.Match[str]] = []
    for word in re.findall(r"[^\W_]+", str(choice)):
        begins = [match for stem, match in said.items() if len(word) >= _TELLING and stem.startswith(word.lower())]
        if _stem(word) not in said and not begins:
            return None
        places.append(said.get(_stem(word)) or begins[0])
    if not places:
        return None
    return Candidate(choice, min(place.start() for place in places), max(place.end() for place in places))


@lru_cache(maxsize=4096)
def _stem(word: str) -> str:
    return str(_english().stemWord(re.sub(r"['\u2019]s?$", "", word.lower())))


@cache
def _english() -> Any:
    """The Snowball stemmer of English, the one language that the local model has."""
    try:
        import snowballstemmer
    except ImportError as error:
        raise MissingExtra("local", "snowballstemmer", "LocalLLM") from error
    return snowballstemmer.stemmer("english")


def runs_of_words(request: str, longest: int) -> list[Candidate]:
    """Every run of at most `longest` words that no punctuation breaks and that breaks no number and no date."""
    said = [Candidate(None, number.start, number.end) for number in numbers(request)]
    said += [Candidate(None, *match.span()) for match in _DATE.finditer(request)]
    words = list(_WORD.finditer(request))
    found: list[Candidate] = []
    for first, word in enumerate(words):
        for last in words[first : first + longest]:
            run = Candidate(request[word.start() : last.end()], word.start(), last.end())
            if _BREAK.search(run.value):
                break
            if not any(run.overlaps(number) and (number.start < run.start or number.end > run.end) for number in said):
                found.append(run)
                if owner := _POSSESSIVE.fullmatch(run.value):
                    found.append(Candidate(owner[1], run.start, run.end))
    return found
