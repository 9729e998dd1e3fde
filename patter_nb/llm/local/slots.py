"""The arguments of a tool from the words of a request: nothing that was not said.

A model of this size copies from its examples when it is unsure, so it is never asked to write a value. It chooses: for each argument a
grammar admits only what the request holds, and the model's few-shot prompt, made of the tool's own examples, says which it would take.
Beside it stands how much the words are like those that fill the argument in the examples, and how little like the others. The best
values that do not claim the same words win together; an argument for which nothing was said stays empty.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product
from typing import Any, Final

import numpy as np

from patter_nb.llm.local.candidates import Candidate, candidates, stems, was_said
from patter_nb.llm.local.encoder import Encoder, Matrix, Reading
from patter_nb.llm.local.runtime import Completion, Runtime
from patter_nb.llm.local.toolview import Argument, Example, ToolView

_MAX_VALUE_TOKENS: Final = 48
_MAX_WRITTEN_TOKENS: Final = 128
_ALTERNATIVES: Final = 200
_RIVALS: Final = 5
_TOOK, _LIKE, _BEGINS, _IN_ORDER, _CLASH = 1.9, 1.4, 0.3, 3.0, 1000.0
_PASSED_OVER, _NOT_AMONG_WORDS = -6.0, -2.2
_UNLIKELY: Final = -12.0
_LEAST_LIKE: Final = -0.18
"""A text whose words are less like the values shown is none; of 103 right ones in bench/tool_choice the least like has -0.15."""
_LIKE_A_VALUE: Final = 0.25
"""An answer to a question is so like a value that was shown: "Rome" is 0.5 like "Oslo", "Tell me a joke" 0.2."""
_SHORT_ANSWER: Final = 4
"""Words; a longer one is more than the value that was asked for."""


@dataclass(frozen=True, slots=True)
class Filled:
    """What was said for each argument, the names of required ones for which nothing was, and what the model ran for it.

    `score` is how much speaks for the least certain of the values.
    """

    said: Mapping[str, Candidate]
    missing: tuple[str, ...]
    completions: tuple[Completion, ...]
    score: float

    @property
    def arguments(self) -> dict[str, Any]:
        return {name: candidate.value for name, candidate in self.said.items()}


@dataclass(frozen=True, slots=True)
class Rival:
    """A candidate (None: the argument stays empty) and how much speaks for it."""

    candidate: Candidate | None
    score: float


class SlotFiller:
    """Fills the arguments of tools with `runtime`, comparing words by `encoder`."""

    def __init__(self, runtime: Runtime, encoder: Encoder) -> None:
        self._runtime = runtime
        self._encoder = encoder

    def learn(self, tool: ToolView) -> None:
        """Compute ahead what every request to `tool` shares."""
        for example in tool.examples:
            self._encoder.known(example.text)
        for argument in tool.arguments:
            self._runtime.complete(_prefix(tool, argument), max_tokens=1)

    def fill(self, tool: ToolView, request: Reading) -> Filled:
        """The arguments of `tool` that `request` says."""
        ran: list[Completion] = []
        return _filled(tool, [self._rivals(tool, argument, request, ran) for argument in tool.arguments], ran)

    def guess(self, tool: ToolView, request: Reading) -> Filled:
        """The same without the model, by likeness alone: good enough to tell whether `tool` could be meant, and quick."""
        return _filled(tool, [self._rivals(tool, argument, request, None) for argument in tool.arguments], ())

    def fill_bare(self, tool: ToolView, names: Sequence[str], answer: Reading) -> dict[str, Any]:
        """What `answer`, to the question for these arguments, says for them. One text that is asked for may be all of a short answer."""
        wanted = tuple(argument for argument in tool.arguments if argument.name in names and self._could_be(tool, argument, answer))
        filled = self.guess(replace(tool, arguments=wanted), answer)
        if filled.missing and len(wanted) == 1 and wanted[0].kind == "string" and 0 < len(answer.places) <= _SHORT_ANSWER:
            return {wanted[0].name: answer.text.strip(" .!?")}
        return filled.arguments

    def _could_be(self, tool: ToolView, argument: Argument, answer: Reading) -> bool:
        """Whether `answer` is at all like what the examples show for a text."""
        values = [str(value) for example in tool.examples if (value := (example.arguments or {}).get(argument.name)) is not None]
        if argument.kind != "string" or not values:
            return True
        return max(float(answer.sentence @ self._encoder.known(value).sentence) for value in values) >= _LIKE_A_VALUE

    def named(self, tool: ToolView, request: Reading) -> Mapping[str, Candidate]:
        """The values that are plainly named: words more like those that fill the argument in the examples than like any other there."""
        said = self.guess(tool, request).said
        likeness = {argument.name: self._likeness(tool, argument, request) for argument in tool.arguments}
        return {name: c for name, c in said.items() if (like := likeness[name]) is not None and _inside(c, request, like).mean() > 0}

    def _rivals(self, tool: ToolView, argument: Argument, request: Reading, ran: list[Completion] | None) -> list[Rival]:
        """The best candidates for `argument`, and that it stays empty. The model is asked where `ran` takes what it ran."""
        if argument.kind == "boolean":
            return [self._truth(tool, argument, request)]
        if argument.kind == "other":
            return [self._written(tool, argument, request, ran)]
        found = candidates(tool, argument, request.text)
        like = self._likeness(tool, argument, request)
        if argument.kind == "string" and like is not None:
            least = _LEAST_LIKE if argument.required else 0.0
            found = [candidate for candidate in found if _inside(candidate, request, like).mean() > least]
        scores = [_LIKE * float(_inside(candidate, request, like).sum()) if like is not None else 0.0 for candidate in found]
        if ran is not None and (found[1:] or (found and argument.kind == "string")):
            scores = [score + asked for score, asked in zip(scores, self._asked(tool, argument, request, found, ran), strict=True)]
        rivals = [Rival(candidate, score) for candidate, score in zip(found, scores, strict=True)]
        return [*sorted(rivals, key=lambda rival: -rival.score)[:_RIVALS], Rival(None, _emptiness(argument))]

    def _written(self, tool: ToolView, argument: Argument, request: Reading, ran: list[Completion] | None) -> Rival:
        """A list or an object, which the model writes within its JSON Schema; empty where it holds what was not said."""
        if ran is None:
            return Rival(Candidate(None, 0, 0), 0.0)
        prompt = f"{_prefix(tool, argument)} {request.text}\n{argument.spoken}:"
        completion = self._runtime.complete(prompt, schema=argument.schema, max_tokens=_MAX_WRITTEN_TOKENS)
        ran.append(completion)
        try:
            value = json.loads(completion.text)
        except ValueError:  # cut off at the last token allowed
            return Rival(None, 0.0)
        return Rival(Candidate(value, 0, 0) if was_said(value, request.text) else None, 0.0)

    def _asked(
        self, tool: ToolView, argument: Argument, request: Reading, found: Sequence[Candidate], ran: list[Completion]
    ) -> list[float]:
        """How much the model is for each of the candidates: the one it takes, and how likely it finds each one's beginning."""
        texts = [json.dumps(candidate.value, ensure_ascii=False) for candidate in found]
        prompt = f"{_prefix(tool, argument)} {request.text}\n{argument.spoken}:"
        completion = self._runtime.complete(prompt, grammar=_grammar(texts), max_tokens=_MAX_VALUE_TOKENS, alternatives=_ALTERNATIVES)
        ran.append(completion)
        return [_TOOK * (text == completion.text.strip()) + _BEGINS * _beginning(text, completion) for text in texts]

    def _likeness(self, tool: ToolView, argument: Argument, request: Reading) -> Matrix | None:
        """For each word of `request`: how much it is like a word that fills `argument` in the examples, less how much like any other."""
        inside: list[Matrix] = []
        outside: list[Matrix] = []
        for example in tool.examples:
            reading, value = self._encoder.known(example.text), value_in(tool, argument, example)
            for (start, end), vector in zip(reading.places, reading.vectors, strict=True):
                (inside if value and start >= value.start and end <= value.end else outside).append(vector)
        if not inside or not outside or not len(request.vectors):
            return None
        likeness: Matrix = (request.vectors @ np.array(inside).T).max(axis=1) - (request.vectors @ np.array(outside).T).max(axis=1)
        return likeness

    def _truth(self, tool: ToolView, argument: Argument, request: Reading) -> Rival:
        """Yes or no, by what tells the examples of one from those of the other; empty where the examples show only one."""
        shown: dict[bool, list[Reading]] = {True: [], False: []}
        for example in tool.examples:
            if isinstance(value := (example.arguments or {}).get(argument.name), bool):
                shown[value].append(self._encoder.known(example.text))
        if not shown[True] or not shown[False] or not request.places:
            return Rival(None, 0.0)
        words = {value: {word for reading in readings for word in stems(reading.text)} for value, readings in shown.items()}
        said = stems(request.text)
        leaning = len(said & words[True] - words[False]) - len(said & words[False] - words[True])
        if not leaning:
            best = {value: max(float(request.sentence @ reading.sentence) for reading in readings) for value, readings in shown.items()}
            leaning = 1 if best[True] > best[False] else -1
        return Rival(Candidate(leaning > 0, 0, 0), 0.0)


def value_in(tool: ToolView, argument: Argument, example: Example) -> Candidate | None:
    """Where the text of `example` says its value of `argument`."""
    value = (example.arguments or {}).get(argument.name)
    if value is None:
        return None
    if argument.kind != "string":
        return next((said for said in candidates(tool, argument, example.text) if said.value == value), None)
    at = example.text.lower().find(str(value).lower())
    return Candidate(value, at, at + len(str(value))) if at >= 0 else None


def _inside(candidate: Candidate, request: Reading, likeness: Matrix) -> Matrix:
    """The likeness of the words that `candidate` is made of."""
    inside: Matrix = likeness[[start >= candidate.start and end <= candidate.end for start, end in request.places]]
    return inside


def _filled(tool: ToolView, rivals: Sequence[Sequence[Rival]], ran: Sequence[Completion]) -> Filled:
    """The values that are best together."""
    order = _usual_order(tool)
    best = max(product(*rivals), key=lambda values: _together(values, order))
    chosen = {argument.name: rival.candidate for argument, rival in zip(tool.arguments, best, strict=True) if rival.candidate is not None}
    missing = tuple(argument.name for argument in tool.arguments if argument.required and argument.name not in chosen)
    return Filled(chosen, missing, tuple(ran), min([rival.score for rival in best if rival.candidate is not None], default=0.0))


def _emptiness(argument: Argument) -> float:
    """How much speaks for `argument` staying empty: little where a number or a choice was said, more where only words are there."""
    if not argument.required:
        return _PASSED_OVER
    return _NOT_AMONG_WORDS if argument.kind == "string" else _PASSED_OVER * 4


def _together(rivals: Sequence[Rival], order: Sequence[tuple[int, int]]) -> float:
    """How much speaks for these values at once; none may claim another's words, and those in `order` had better come in it."""
    values = [rival.candidate for rival in rivals]
    taken = [candidate for candidate in values if candidate]
    clash = any(one.overlaps(other) for number, one in enumerate(taken) for other in taken[:number])
    ordered = sum(
        (one := values[first]) is not None and (other := values[then]) is not None and one.start < other.start for first, then in order
    )
    return sum(rival.score for rival in rivals) + _IN_ORDER * ordered - _CLASH * clash


def _usual_order(tool: ToolView) -> list[tuple[int, int]]:
    """The pairs of arguments with the same choices that come one before the other in every example: only their order tells them apart."""
    pairs: list[tuple[int, int]] = []
    for first, then in permutations(range(len(tool.arguments)), 2):
        one, other = tool.arguments[first], tool.arguments[then]
        if one.choices and one.choices == other.choices:
            places = [(value_in(tool, one, example), value_in(tool, other, example)) for example in tool.examples]
            if places and all(a is not None and b is not None and a.start < b.start for a, b in places):
                pairs.append((first, then))
    return pairs


def _prefix(tool: ToolView, argument: Argument) -> str:
    """The part of the prompt that is the same for every request; the runtime keeps what it computed for it."""
    shots = [
        f"Request: {example.text}\n{argument.spoken}: {json.dumps(example.arguments.get(argument.name), ensure_ascii=False)}\n"
        for example in tool.examples
        if example.arguments is not None
    ]
    return "\n".join([f"{tool.description or tool.spoken}\n", *shots, "Request:"])


def _grammar(texts: Sequence[str]) -> str:
    """GBNF that admits exactly `texts`, each after a space."""
    return 'root ::= " " (' + " | ".join(json.dumps(text, ensure_ascii=False) for text in dict.fromkeys(texts)) + ")"


def _beginning(text: str, completion: Completion) -> float:
    """The log-probability of the first token of the value `text`, behind the quote where it has one."""
    quoted = text.startswith('"')
    place = 1 if quoted else 0
    if len(completion.alternatives) <= place:
        return _UNLIKELY
    value = text[1:] if quoted else f" {text}"
    return max(
        (logprob for token, logprob in completion.alternatives[place].items() if token.strip() and value.startswith(token)),
        default=_UNLIKELY,
    )
