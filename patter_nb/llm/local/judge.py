"""How surely a request means a tool: the encoder's last layers over both texts at once, and the plain evidence beside them.

The first layers read request and tool apart, which can be done ahead. From there on the two are read together, each word of the one in
the light of the other, as a cross-encoder does (Nogueira and Cho, 2019), by layers that were fitted to this one question with low-rank
changes (LoRA, Hu et al., 2021). `bench/tool_choice/fit.py` fits them; it knows no tool by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

import numpy as np

from patter_nb.llm.local.encoder import JOINT_LAYERS, PARTS, Encoder, Matrix, attention, gelu, norm

__all__ = ["Judge", "carried_weights"]


class Judge:
    """Scores of a tool for a request; above 0 it is meant more likely than not. `weights` are those that this package carries."""

    def __init__(self, encoder: Encoder, weights: Mapping[str, Matrix] | None = None) -> None:
        known = carried_weights() if weights is None else weights
        self._layers = [_layer(encoder, known, number) for number in JOINT_LAYERS]
        self._known = known

    def score(self, request: Matrix, tool: Matrix, evidence: Matrix) -> float:
        """How surely `tool` is meant by `request`, both as the encoder's lower layers leave them, given the `evidence`."""
        w = self._known
        x = np.concatenate([request + w["segment"][0], tool + w["segment"][1]])
        for layer in self._layers:
            x = _read_on(x, layer)
        pooled = np.concatenate([x[0], x[: len(request)].mean(axis=0)])
        beside = np.asarray((evidence - w["centre"]) * w["scale"] @ w["wide.0.weight"].T + w["wide.0.bias"], np.float32)
        together = pooled @ w["head.weight"][0] + gelu(beside) @ w["wide.2.weight"][0]
        return float(together + w["head.bias"][0] + w["wide.2.bias"][0] - w["threshold"])


def carried_weights() -> dict[str, Matrix]:
    """The fitted weights: for each dense matrix of the joint layers a change of low rank, biases and norms whole, and the head."""
    with files("patter_nb.llm.local").joinpath("judge.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name].astype(np.float32) for name in arrays.files}


def _layer(encoder: Encoder, known: Mapping[str, Matrix], number: int) -> dict[str, Matrix]:
    """One joint layer with its changes worked in."""
    layer: dict[str, Matrix] = {}
    for part in PARTS:
        name = f"{number}.{part}"
        layer[f"{part}.weight"] = encoder.weight(f"encoder.layer.{name}.weight") + known[f"{name}.up"] @ known[f"{name}.down"]
        layer[f"{part}.bias"] = known[f"{name}.bias"]
    for place in ("attention.output.LayerNorm", "output.LayerNorm"):
        for kind in ("weight", "bias"):
            layer[f"{place}.{kind}"] = known[f"{number}.{place}.{kind}"]
    return layer


def _read_on(x: Matrix, layer: Mapping[str, Matrix]) -> Matrix:
    def dense(values: Matrix, part: str) -> Matrix:
        result: Matrix = values @ layer[f"{part}.weight"].T + layer[f"{part}.bias"]
        return result

    def normal(values: Matrix, place: str) -> Matrix:
        return norm(values, layer[f"{place}.weight"], layer[f"{place}.bias"])

    query, key, value = (dense(x, f"attention.self.{part}") for part in ("query", "key", "value"))
    x = normal(x + dense(attention(query, key, value), "attention.output.dense"), "attention.output.LayerNorm")
    return normal(x + dense(gelu(dense(x, "intermediate.dense")), "output.dense"), "output.LayerNorm")

