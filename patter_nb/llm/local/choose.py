"""Which tool a request means, if any.

Four things speak for a tool: that the request is like its examples, its description and its name; that it is still like them once its
own values are put in the place of the examples'; that it says what the tool must know; and that it is put as one puts a wish, not a
remark, a refusal or a question about the world. A logistic model weighs them, and how they come together. It was fitted over tools of
many domains (`bench/tool_choice`), knows none of them by name, and has no list of words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib.resources import files
from typing import Final

import numpy as np

from patter_nb.llm.local.encoder import Encoder, Matrix, Reading, bare
from patter_nb.llm.local.slots import Filled, SlotFiller, value_in
from patter_nb.llm.local.toolview import Example, ToolView

_CONSIDERED: Final = 6
_SURE: Final = 0.5
EVIDENCE: Final = 16
MISSING: Final = slice(6, 8)
_SWAPPED, _FILLED = 4, 10
_SAME: Final = 0.98  # but for its values it says what an example says; of the 719 sayings without a tool in bench/tool_choice none is


@dataclass(frozen=True, slots=True)
class Choice:
    """A tool and how surely the request means it, 0.0 to 1.0. `complete` says whether the request names all that the tool must know."""

    tool: ToolView
    score: float
    complete: bool


@dataclass(frozen=True, slots=True)
class Weights:
    """The fitted model, in two steps: how a request is put becomes one number, how much it sounds like a wish (`put_*`); then that and
    the evidence, each scaled, and the products of any two of them are weighed together. `bias` includes the threshold.
    """

    put_centre: Matrix
    put_weights: Matrix
    centre: Matrix
    scale: Matrix
    weights: Matrix
    bias: float

    def wish(self, put: Matrix) -> float:
        """How much a request that is put so sounds like a wish."""
        return float((put - self.put_centre) @ self.put_weights)

    def score(self, evidence: Matrix, wish: float) -> float:
        """How surely a tool with such `evidence` is meant, 0.0 to 1.0."""
        weighed = float(with_products(np.append((evidence - self.centre) * self.scale, wish)[np.newaxis])[0] @ self.weights + self.bias)
        return 1 / (1 + math.exp(-weighed))


def with_products(rows: Matrix) -> Matrix:
    """`rows`, each followed by the products of any two of its numbers; these count a third, or they would outweigh the rest."""
    first, second = np.triu_indices(rows.shape[1])
    products: Matrix = np.hstack([rows, 0.3 * rows[:, first] * rows[:, second]])
    return products


def fitted(*, with_state: bool) -> Weights:
    """The weights this package carries: for SmolLM2, whose state tells how a request is put, or for any model."""
    kind = "state" if with_state else "plain"
    with files("patter_nb.llm.local").joinpath("chooser.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        found = {field.name: arrays[f"{kind}_{field.name}"] for field in fields(Weights)}
    return Weights(**{**found, "bias": float(found["bias"])})


class Chooser:
    """Finds the tool that a request means."""

    def __init__(self, encoder: Encoder, slots: SlotFiller, weights: Weights) -> None:
        self._encoder = encoder
        self._slots = slots
        self._weights = weights
        self._known: dict[str, Reading] = {}

    def learn(self, tool: ToolView) -> None:
        """Read ahead what `tool` says of itself."""
        for text in _sayings(tool):
            self._read(text)

    def choose(self, request: Reading, put: Matrix, tools: Sequence[ToolView]) -> Choice | None:
        """The tool that is meant, or None. `put` tells how the request is put: its manner, and the model's state where that is known.

        One that would be meant if only the request said all it must know is found too, as incomplete, where no other is.
        """
        wish = self._weights.wish(put)
        found: list[Choice] = []
        for tool in self.considered(request, tools):
            evidence = self.evidence(request, tool)
            complete = not evidence[MISSING].any()
            if not complete:
                evidence[MISSING] = 0.0
                evidence[_FILLED] = len(tool.arguments) / 3
            as_shown = complete and evidence[_SWAPPED] >= _SAME
            found.append(Choice(tool, 1.0 if as_shown else self._weights.score(evidence, wish), complete))
        sure = [choice for choice in found if choice.score >= _SURE]
        return max(sure, key=lambda choice: (choice.complete, choice.score), default=None)

    def considered(self, request: Reading, tools: Sequence[ToolView]) -> list[ToolView]:
        """The few tools most like `request`; only these are looked at closely."""
        return sorted(tools, key=lambda tool: -max(float(self._read(text).sentence @ request.sentence) for text in _sayings(tool)))[
            :_CONSIDERED
        ]

    def evidence(self, request: Reading, tool: ToolView) -> Matrix:
        """What speaks for `tool` being meant in `EVIDENCE` numbers; `MISSING` of them tell what it would still have to know."""
        said = self._slots.guess(tool, request)
        texts = [self._read(text) for text in _sayings(tool)]
        examples = [self._read(example.text) for example in tool.examples] or texts
        likeness = [float(request.sentence @ example.sentence) for example in examples]
        swapped = [self._likeness_with_values(request, tool, said, example) for example in tool.examples] or likeness
        words = [(request.vectors @ example.vectors.T) for example in examples]
        required = sum(argument.required for argument in tool.arguments)
        evidence = [
            max(likeness),
            float(np.mean(likeness)),
            float(request.sentence @ texts[-1].sentence),
            float(request.sentence @ texts[0].sentence),
            max(swapped),
            float(np.mean(swapped)),
            min(len(said.missing), 2),
            float(bool(said.missing)),
            float(required == 0),
            min(required, 3) / 3,
            len(said.said) / 3,
            float(np.clip(said.score, -3, 3)) / 3,
            float(np.max([similar.max(axis=1).mean() for similar in words])),
            float(np.max([similar.max(axis=0).mean() for similar in words])),
            float((texts[-1].vectors @ request.vectors.T).max(axis=1).mean()),
            float(np.max([similar[0, 0] for similar in words])),
        ]
        return np.array(evidence, np.float32)

    def _likeness_with_values(self, request: Reading, tool: ToolView, said: Filled, example: Example) -> float:
        """How like `request` is to `example` once the values it says give way to those of the example."""
        text = request.text
        for name, candidate in sorted(said.said.items(), key=lambda entry: -entry[1].start):
            argument = next(argument for argument in tool.arguments if argument.name == name)
            if value := value_in(tool, argument, example):
                text = text[: candidate.start] + example.text[value.start : value.end] + text[candidate.end :]
        changed = request if text == request.text else self._encoder.read(bare(text))
        return float(changed.sentence @ self._read(example.text).sentence)

    def _read(self, text: str) -> Reading:
        if text not in self._known:
            self._known[text] = self._encoder.read(bare(text))
        return self._known[text]


def _sayings(tool: ToolView) -> list[str]:
    """What `tool` says of itself: its name first, its description last."""
    return [tool.spoken, *(example.text for example in tool.examples), tool.description or tool.spoken]
