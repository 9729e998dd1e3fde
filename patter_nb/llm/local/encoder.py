"""Sentences as vectors, in numpy alone: the measure by which a request is compared with what a tool says of itself.

The weights are all-MiniLM-L6-v2 (Apache-2.0), the file `model.safetensors` of sentence-transformers, mapped from disk so that only the
rows of words that are spoken become resident. The network is BERT (Devlin et al., 2018; six layers, twelve heads, width 384) and the
tokenizer is its WordPiece; both are short enough that a runtime of their own would weigh more than the code below.
"""

from __future__ import annotations

import json
import math
import mmap
import re
import struct
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]

LAYERS: Final = 6
HEADS: Final = 12
WIDTH: Final = 384
MAX_TOKENS: Final = 128
LOWER_TOKENS: Final = 60
"""What is read jointly is cut here."""
_CLS, _SEP, _UNKNOWN = "[CLS]", "[SEP]", "[UNK]"
WORD_LAYER: Final = 4
LOWER_LAYERS: Final = 3
JOINT_LAYERS: Final = range(LOWER_LAYERS, LAYERS)
"""The layers that the `Judge` has changed ones of."""
PARTS: Final = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
"""The dense matrices of a layer."""
_WORDS = re.compile(r"\w(?:[\w.'\u2019:-]*\w)?|[^\w\s]")
_PARTS = re.compile(r"[^\W_]+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as the encoder sees it.

    `sentence` tells what it is about. `vectors` has a row for each of the words at `places`. `sentence` and the rows of `vectors` have
    length one.
    """

    text: str
    sentence: Matrix
    places: tuple[tuple[int, int], ...]
    vectors: Matrix


class Encoder:
    """Reads sentences. `weights` and `vocabulary` are the files `model.safetensors` and `vocab.txt`. Thread-safe."""

    def __init__(self, weights: Path, vocabulary: Path) -> None:
        self._vocabulary = {word: row for row, word in enumerate(vocabulary.read_text("utf-8").splitlines())}
        self._weights = _safetensors(weights)
        self._known: dict[str, Reading] = {}

    def weight(self, name: str) -> Matrix:
        """One matrix of the network, by its name in the file."""
        return self._weights[name]

    def lower(self, text: str) -> Matrix:
        """`text` as the lower layers leave it: a row for each token, with those that mark beginning and end."""
        return self._layers([_CLS, *self._tokens(text)[0][: LOWER_TOKENS], _SEP], LOWER_LAYERS)[-1]

    def read(self, text: str) -> Reading:
        """`text` as vectors: the sentence from the last layer, as sentence-transformers gives it, the words from layer four."""
        tokens, owners, places = self._tokens(text)
        layers = self._layers([_CLS, *tokens[: MAX_TOKENS - 2], _SEP])
        inner, owned = layers[WORD_LAYER][1:-1], np.array(owners[: MAX_TOKENS - 2])
        kept = [number for number in range(1, len(places) + 1) if number in owned]
        vectors = np.array([unit(inner[owned == number].mean(axis=0)) for number in kept], np.float32).reshape(-1, WIDTH)
        return Reading(text, unit(layers[-1].mean(axis=0)), tuple(places[number - 1] for number in kept), vectors)

    def known(self, text: str) -> Reading:
        """The same for what a tool says, without its last marks: read once, and kept."""
        if text not in self._known:
            self._known[text] = self.read(bare(text))
        return self._known[text]

    def _tokens(self, text: str) -> tuple[list[str], list[int], list[tuple[int, int]]]:
        """The tokens of `text`, for each the number of its word (from 1; 0 for marks), and where the words stand."""
        places: list[tuple[int, int]] = []
        owners: list[int] = []
        tokens: list[str] = []
        for match in _WORDS.finditer(text):
            pieces = [piece for part in _PARTS.findall(_plain(match.group())) for piece in self._pieces(part)]
            if match.group()[0].isalnum():
                places.append(match.span())
                owners += [len(places)] * len(pieces)
            else:
                owners += [0] * len(pieces)
            tokens += pieces
        return tokens, owners, places

    def _layers(self, tokens: Sequence[str], count: int = LAYERS) -> list[Matrix]:
        """One matrix (tokens, 384) after the embedding and after each of the first `count` layers."""
        rows = np.array([self._vocabulary[token] for token in tokens])
        w = self._weights
        x = w["embeddings.word_embeddings.weight"][rows] + w["embeddings.position_embeddings.weight"][: len(rows)]
        x = self._norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        states = [x]
        for number in range(count):
            x = self._layer(x, f"encoder.layer.{number}.")
            states.append(x)
        return states

    def _layer(self, x: Matrix, at: str) -> Matrix:
        seen = attention(*(self._linear(x, f"{at}attention.self.{part}") for part in ("query", "key", "value")))
        x = self._norm(x + self._linear(seen, f"{at}attention.output.dense"), f"{at}attention.output.LayerNorm")
        inner = gelu(self._linear(x, f"{at}intermediate.dense"))
        return self._norm(x + self._linear(inner, f"{at}output.dense"), f"{at}output.LayerNorm")

    def _linear(self, x: Matrix, name: str) -> Matrix:
        return x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _norm(self, x: Matrix, name: str) -> Matrix:
        return norm(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _pieces(self, word: str) -> list[str]:
        """The longest known piece first, as WordPiece does; a word that cannot be pieced together is unknown."""
        pieces: list[str] = []
        start = 0
        while start < len(word):
            mark = "##" if start else ""
            end = next((end for end in range(len(word), start, -1) if mark + word[start:end] in self._vocabulary), None)
            if end is None:
                return [_UNKNOWN]
            pieces.append(mark + word[start:end])
            start = end
        return pieces


def _plain(text: str) -> str:
    """Lower case, without accents."""
    return "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")


def bare(text: str) -> str:
    """`text` without the marks it ends in, which to a network of this kind weigh as much as words."""
    return text.rstrip(" .!?")


def unit(vector: Matrix) -> Matrix:
    """`vector` scaled to length one."""
    scaled: Matrix = vector / max(float(np.linalg.norm(vector)), 1e-9)
    return scaled


def attention(query: Matrix, key: Matrix, value: Matrix) -> Matrix:
    """What each row of `query` sees in the rows of `value`, head by head."""
    count, size = len(query), WIDTH // HEADS
    q, k, v = (rows.reshape(count, HEADS, size).transpose(1, 0, 2) for rows in (query, key, value))
    scores = q @ k.transpose(0, 2, 1) / math.sqrt(size)
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    seen: Matrix = (scores / scores.sum(axis=-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(count, WIDTH)
    return seen


def norm(x: Matrix, weight: Matrix, bias: Matrix) -> Matrix:
    """Layer normalisation of each row."""
    x = x - x.mean(axis=-1, keepdims=True)
    scaled: Matrix = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-12) * weight + bias
    return scaled


def gelu(x: Matrix) -> Matrix:
    """x * Phi(x), with the error function of Abramowitz and Stegun 7.1.26 (error below 1.5e-7), since numpy has none."""
    z = np.abs(x) * np.float32(math.sqrt(0.5))
    t = 1 / (1 + np.float32(0.3275911) * z)
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    result: Matrix = (0.5 * x * (1 + np.sign(x) * (1 - poly * np.exp(-z * z)))).astype(np.float32)
    return result


def _safetensors(path: Path) -> dict[str, Matrix]:
    """The tensors of a safetensors file (8 bytes of length, a JSON header, the bytes), as views of the mapped file."""
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    (length,) = struct.unpack("<Q", mapped[:8])
    header = json.loads(mapped[8 : 8 + length])
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(mapped, "<f4", count=math.prod(entry["shape"]), offset=8 + length + entry["data_offsets"][0]).reshape(
            entry["shape"]
        )
        for name, entry in header.items()
        if entry["dtype"] == "F32"
    }
