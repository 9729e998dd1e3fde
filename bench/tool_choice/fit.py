"""Fits the weights by which `LocalLLM` chooses a tool, and says how well they do on domains they were not fitted on.

    python bench/tool_choice/fit.py            # prints cross-validated figures
    python bench/tool_choice/fit.py --write    # and writes patter_nb/llm/local/chooser.npz

It reads `lessons.txt` and `tuning.json`. Cross-validation leaves out an eighth of the domains at a time, and sets the threshold.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from sets import HERE, RequestSet, read_json, read_lessons

from patter_nb.inference import inference_threads
from patter_nb.llm import local
from patter_nb.llm.local.choose import MISSING, Chooser, Weights, fitted, with_products
from patter_nb.llm.local.encoder import WIDTH, Encoder, as_sentence, bare
from patter_nb.llm.local.files import DEFAULT_MODEL, encoder_files, model_file
from patter_nb.llm.local.runtime import Runtime
from patter_nb.llm.local.slots import SlotFiller
from patter_nb.llm.local.toolview import view

Matrix: TypeAlias = npt.NDArray[Any]

MANNER = 2 * WIDTH
MANNER_SCALE, STATE_SCALE = 0.4, 20.0
PENALTY = 15.0
CONVERGED = 1e-6
FALSE_CALLS_ALLOWED = 0.08
FOLDS, INNER_FOLDS = 8, 5


@dataclass(frozen=True, slots=True)
class Posed:
    """A request as it was posed: a row of evidence for each tool of its domain, whether the request says all the tool must know,
    how it is put, and which of the rows is meant, if any.
    """

    domain: str
    complete: Matrix
    evidence: Matrix
    put: Matrix
    meant: int | None

    @property
    def target(self) -> Matrix:
        target: Matrix = (np.arange(len(self.evidence)) == self.meant).astype(np.float64)
        return target


def pose(requests: RequestSet, chooser: Chooser, encoder: Encoder, runtime: Runtime) -> list[Posed]:
    posed: list[Posed] = []
    for request in requests.requests:
        tools = [view(tool) for tool in requests.tools[request.domain]]
        reading = encoder.read(bare(request.text))
        sentence = as_sentence(request.text)
        put = np.concatenate([encoder.read(sentence).manner, runtime.state(sentence).vector])
        names = [tool.name for tool in tools]
        evidence = np.stack([chooser.evidence(reading, tool) for tool in tools])
        complete: Matrix = np.logical_not(evidence[:, MISSING].any(axis=1))
        posed.append(Posed(request.domain, complete, evidence, put, names.index(request.tool) if request.tool else None))
    return posed


def scaled(posed: Sequence[Posed]) -> tuple[list[Posed], Weights]:
    """`posed` with numbers that one penalty suits, and the weights that would make them so, the rest still empty."""
    evidence, put = np.concatenate([request.evidence for request in posed]), np.stack([request.put for request in posed])
    put_scale = np.full(put.shape[1], STATE_SCALE)
    put_scale[:MANNER] = MANNER_SCALE
    centre, scale, put_centre = evidence.mean(axis=0), 1 / (evidence.std(axis=0) + 1e-6), put.mean(axis=0)
    changed = [Posed(p.domain, p.complete, (p.evidence - centre) * scale, (p.put - put_centre) * put_scale, p.meant) for p in posed]
    return changed, Weights(put_centre, put_scale, centre, scale, np.zeros(0, np.float32), 0.0)


def logistic(x: Matrix, y: Matrix) -> Matrix:
    """Logistic regression by Newton's method: the weights, and the bias behind them."""
    x = np.hstack([x, np.ones((len(x), 1))]).astype(np.float64)
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
    return weights


def put_weights(posed: Sequence[Posed]) -> Matrix:
    """What of how a request is put tells a wish from other sayings, fitted beside the evidence, so that it need not tell that too."""
    rows = np.concatenate([np.hstack([p.evidence, np.repeat(p.put[None], len(p.evidence), axis=0)]) for p in posed])
    return logistic(rows, np.concatenate([p.target for p in posed]))[posed[0].evidence.shape[1] : -1]


def with_wish(posed: Sequence[Posed], weights: Matrix) -> list[Matrix]:
    return [with_products(np.hstack([p.evidence, np.full((len(p.evidence), 1), p.put @ weights)])) for p in posed]


def fit(posed: Sequence[Posed]) -> tuple[Matrix, Matrix]:
    """The weights of both steps. The second learns from what the first says of domains it was not fitted on."""
    rows: list[Matrix] = []
    targets: list[Matrix] = []
    for others, left_out in folds(posed, INNER_FOLDS):
        rows += with_wish(left_out, put_weights(others))
        targets += [p.target for p in left_out]
    return put_weights(posed), logistic(np.concatenate(rows), np.concatenate(targets))


def folds(posed: Sequence[Posed], number: int) -> list[tuple[list[Posed], list[Posed]]]:
    """(the rest, a part) for each of so many parts of the domains."""
    part = {domain: at % number for at, domain in enumerate(sorted({p.domain for p in posed}))}
    return [([p for p in posed if part[p.domain] != at], [p for p in posed if part[p.domain] == at]) for at in range(number)]


def cross_validated(posed: Sequence[Posed]) -> list[tuple[float, bool, bool]]:
    """For each request (score of the best tool that could be called, whether a tool is meant, whether it is that one)."""
    found: list[tuple[float, bool, bool]] = []
    for others, left_out in folds(posed, FOLDS):
        first, second = fit(others)
        for request, rows in zip(left_out, with_wish(left_out, first), strict=True):
            scores = np.where(request.complete, rows @ second[:-1] + second[-1], -np.inf)
            best = int(scores.argmax())
            found.append((float(scores[best]), request.meant is not None, request.meant == best))
    return found


def fitted_weights(posed: Sequence[Posed], kind: str) -> Weights:
    """The weights fitted on all of `posed`, after a line on how such weights do on domains they have not seen."""
    changed, weights = scaled(posed)
    found = cross_validated(changed)
    others = sorted((score for score, wanted, _ in found if not wanted), reverse=True)
    limit = others[int(len(others) * FALSE_CALLS_ALLOWED)]
    wanted = [entry for entry in found if entry[1]]
    right = sum(score > limit and meant for score, _, meant in wanted)
    false = sum(score > limit for score in others)
    sys.stdout.write(f"{kind}: {right} of {len(wanted)} that mean a tool are given it, {false} of {len(others)} others are given one\n")
    first, second = fit(changed)
    return Weights(weights.put_centre, weights.put_weights * first, weights.centre, weights.scale, second[:-1], float(second[-1] - limit))


def main() -> None:
    runtime, encoder = Runtime(model_file(DEFAULT_MODEL), threads=inference_threads()), Encoder(*encoder_files())
    chooser = Chooser(encoder, SlotFiller(runtime, encoder), fitted(with_state=True))
    sets = (read_lessons(), read_json(HERE / "tuning.json"))
    posed = [request for requests in sets for request in pose(requests, chooser, encoder, runtime)]
    write(posed)


def write(posed: Sequence[Posed]) -> None:
    without_state = [Posed(p.domain, p.complete, p.evidence, p.put[:MANNER], p.meant) for p in posed]
    arrays: dict[str, Matrix] = {}
    for kind, content in (("state", posed), ("plain", without_state)):
        arrays |= {f"{kind}_{name}": np.asarray(value, np.float32) for name, value in asdict(fitted_weights(content, kind)).items()}
    if "--write" in sys.argv:
        np.savez_compressed(Path(local.__file__).parent / "chooser.npz", allow_pickle=False, **arrays)


if __name__ == "__main__":
    main()
