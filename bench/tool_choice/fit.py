"""Fits the weights by which `LocalLLM` chooses a tool, and says how well they do on domains they were not fitted on.

    python bench/tool_choice/fit.py            # prints cross-validated figures
    python bench/tool_choice/fit.py --write    # and writes patter_nb/llm/local/chooser.npz

It reads `lessons.txt` and `tuning.json`. Cross-validation leaves out an eighth of the domains at a time, and sets the threshold.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sets import HERE, RequestSet, read_json, read_lessons

from patter_nb.inference import inference_threads
from patter_nb.llm import local
from patter_nb.llm.local.choose import EVIDENCE, MANNER, MISSING, Chooser, Weights
from patter_nb.llm.local.encoder import Encoder, Matrix
from patter_nb.llm.local.files import DEFAULT_MODEL, encoder_files, model_file
from patter_nb.llm.local.runtime import Runtime
from patter_nb.llm.local.slots import SlotFiller
from patter_nb.llm.local.toolview import view

UNFITTED = Weights(np.zeros(0, np.float32), np.zeros(0, np.float32), 0.0)
STATE_SCALE = 20.0
PENALTY = 15.0
CONVERGED = 1e-6
FALSE_CALLS_ALLOWED = 0.05
FOLDS = 8


@dataclass(frozen=True, slots=True)
class Posed:
    """A request as it was posed: a row of features for each tool of its domain, and which of the rows is meant, if any."""

    domain: str
    rows: Matrix
    meant: int | None


def pose(requests: RequestSet, chooser: Chooser, encoder: Encoder, runtime: Runtime) -> list[Posed]:
    posed: list[Posed] = []
    for request in requests.requests:
        tools = [view(tool) for tool in requests.tools[request.domain]]
        reading, state = encoder.read(request.text), runtime.state(request.text).vector
        rows = np.stack([np.concatenate([chooser.features(reading, tool), state]) for tool in tools])
        names = [tool.name for tool in tools]
        posed.append(Posed(request.domain, rows, names.index(request.tool) if request.tool else None))
    return posed


def scales(posed: Sequence[Posed]) -> tuple[Matrix, Matrix]:
    """What to subtract from each feature and what to multiply it with, so that one penalty suits them all."""
    rows = np.concatenate([request.rows for request in posed])
    scale = np.full(rows.shape[1], 0.5, np.float32)
    scale[:EVIDENCE] = 1 / (rows[:, :EVIDENCE].std(axis=0) + 1e-6)
    scale[EVIDENCE + MANNER :] = STATE_SCALE
    return rows.mean(axis=0), scale


def fit(posed: Sequence[Posed], centre: Matrix, scale: Matrix) -> tuple[Matrix, float]:
    """Logistic regression by Newton's method: the weights of the scaled features, and the bias."""
    x = np.concatenate([(request.rows - centre) * scale for request in posed]).astype(np.float64)
    y = np.concatenate([np.arange(len(request.rows)) == (-1 if request.meant is None else request.meant) for request in posed]).astype(
        np.float64
    )
    x = np.hstack([x, np.ones((len(x), 1))])
    penalty = np.full(x.shape[1], PENALTY)
    penalty[-1] = 1e-3
    weights = np.zeros(x.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ weights))
        curve = (x * (p * (1 - p) + 1e-6)[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.solve(curve, x.T @ (y - p) - penalty * weights)
        weights += step
        if np.abs(step).max() < CONVERGED:
            break
    return weights[:-1].astype(np.float32), float(weights[-1])


def cross_validated(posed: Sequence[Posed]) -> list[tuple[float, bool, bool]]:
    """For each request (score of the best tool that could be called, whether a tool is meant, whether it is that one)."""
    centre, scale = scales(posed)
    fold = {domain: number % FOLDS for number, domain in enumerate(sorted({request.domain for request in posed}))}
    found: list[tuple[float, bool, bool]] = []
    for number in range(FOLDS):
        weights, bias = fit([request for request in posed if fold[request.domain] != number], centre, scale)
        for request in posed:
            if fold[request.domain] == number:
                scores = np.where(request.rows[:, MISSING].any(axis=1), -np.inf, (request.rows - centre) * scale @ weights + bias)
                best = int(scores.argmax())
                found.append((float(scores[best]), request.meant is not None, request.meant == best))
    return found


def fitted(posed: Sequence[Posed], kind: str) -> dict[str, Matrix]:
    """The arrays that `patter_nb.llm.local.choose.fitted` reads, and a line of figures."""
    found = cross_validated(posed)
    others = sorted((score for score, wanted, _ in found if not wanted), reverse=True)
    limit = others[int(len(others) * FALSE_CALLS_ALLOWED)]
    wanted = [entry for entry in found if entry[1]]
    right = sum(score > limit and meant for score, _, meant in wanted)
    false = sum(score > limit for score in others)
    sys.stdout.write(f"{kind}: {right} of {len(wanted)} that mean a tool are given it, {false} of {len(others)} others are given one\n")
    centre, scale = scales(posed)
    weights, bias = fit(posed, centre, scale)
    return {f"{kind}_centre": centre, f"{kind}_weights": weights * scale, f"{kind}_bias": np.float32(bias - limit)}


def main() -> None:
    runtime, encoder = Runtime(model_file(DEFAULT_MODEL), threads=inference_threads()), Encoder(*encoder_files())
    chooser = Chooser(encoder, SlotFiller(runtime, encoder), UNFITTED)
    posed = [
        request for content in (read_lessons(), read_json(HERE / "tuning.json")) for request in pose(content, chooser, encoder, runtime)
    ]
    without_state = [Posed(request.domain, request.rows[:, : EVIDENCE + MANNER], request.meant) for request in posed]
    arrays = fitted(posed, "state") | fitted(without_state, "plain")
    if "--write" in sys.argv:
        np.savez_compressed(Path(local.__file__).parent / "chooser.npz", **arrays)


if __name__ == "__main__":
    main()
