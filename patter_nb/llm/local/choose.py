"""Which tool a request means, if any.

Four things speak for a tool: that the request is like its examples, its description and its name; that it is still like them once its
own values are put in the place of the examples'; that it says what the tool must know; and that it is put as one puts a wish, not a
remark, a refusal or a question about the world. A logistic model weighs them. It was fitted over many tools of many domains
(`bench/tool_choice`), knows none of them by name, and has no list of words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

import numpy as np

from patter_nb.llm.local.encoder import WIDTH, Encoder, Matrix, Reading
from patter_nb.llm.local.slots import Filled, SlotFiller, value_in
from patter_nb.llm.local.toolview import Example, ToolView

_CONSIDERED: Final = 6
_SURE: Final = 0.5
EVIDENCE: Final = 16
MANNER: Final = 2 * WIDTH
MISSING: Final = slice(6, 8)
_FILLED: Final = 10


@dataclass(frozen=True, slots=True)
class Choice:
    """A tool and how surely the request means it, 0.0 to 1.0. `complete` says whether the request names all that the tool must know."""

    tool: ToolView
    score: float
    complete: bool


@dataclass(frozen=True, slots=True)
class Weights:
    """The logistic model: what is subtracted from the features, and what each then weighs. `bias` includes the threshold."""

    centre: Matrix
    weights: Matrix
    bias: float

    def score(self, features: Matrix) -> float:
        return float(1 / (1 + np.exp(-((features - self.centre) @ self.weights + self.bias))))


def fitted(*, with_state: bool) -> Weights:
    """The weights this package carries: for SmolLM2, whose state is a feature, or for any model."""
    kind = "state" if with_state else "plain"
    with files("patter_nb.llm.local").joinpath("chooser.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return Weights(arrays[f"{kind}_centre"], arrays[f"{kind}_weights"], float(arrays[f"{kind}_bias"]))


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

    def choose(self, request: Reading, state: Matrix, tools: Sequence[ToolView]) -> Choice | None:
        """The tool that is meant, or None. `state` is the model's own of the request, or empty.

        One that would be meant if only the request said all it must know is found too, as incomplete, where no other is.
        """
        found: list[Choice] = []
        for tool in self.considered(request, tools):
            features = np.concatenate([self.features(request, tool), state])
            found.append(Choice(tool, self._weights.score(features), not features[MISSING].any()))
            if features[MISSING].any():
                features[MISSING] = 0.0
                features[_FILLED] = len(tool.arguments) / 3
                found.append(Choice(tool, self._weights.score(features), False))
        sure = [choice for choice in found if choice.score >= _SURE]
        return max(sure, key=lambda choice: (choice.complete, choice.score), default=None)

    def considered(self, request: Reading, tools: Sequence[ToolView]) -> list[ToolView]:
        """The few tools most like `request`; only these are looked at closely."""
        return sorted(tools, key=lambda tool: -max(float(self._read(text).sentence @ request.sentence) for text in _sayings(tool)))[
            :_CONSIDERED
        ]

    def features(self, request: Reading, tool: ToolView) -> Matrix:
        """What speaks for `tool` being meant (`EVIDENCE` numbers, of which `MISSING` tell what it would still have to know), and how the
        request is put."""
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
        return np.concatenate([np.array(evidence, np.float32), request.manner])

    def _likeness_with_values(self, request: Reading, tool: ToolView, said: Filled, example: Example) -> float:
        """How like `request` is to `example` once the values it says give way to those of the example."""
        text = request.text
        for name, candidate in sorted(said.said.items(), key=lambda entry: -entry[1].start):
            argument = next(argument for argument in tool.arguments if argument.name == name)
            if value := value_in(tool, argument, example):
                text = text[: candidate.start] + example.text[value.start : value.end] + text[candidate.end :]
        changed = request if text == request.text else self._encoder.read(text)
        return float(changed.sentence @ self._read(example.text).sentence)

    def _read(self, text: str) -> Reading:
        if text not in self._known:
            self._known[text] = self._encoder.read(text)
        return self._known[text]


def _sayings(tool: ToolView) -> list[str]:
    """What `tool` says of itself: its name first, its description last."""
    return [tool.spoken, *(example.text for example in tool.examples), tool.description or tool.spoken]
