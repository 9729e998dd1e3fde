"""Fits the weights by which `LocalLLM` chooses a tool, and says how well they do on domains they were not fitted on.

    pip install torch
    python bench/tool_choice/fit.py                  # fits on six sevenths of the domains, prints figures for the rest
    python bench/tool_choice/fit.py --write          # and writes patter_nb/llm/local/judge.npz

It reads `lessons.txt` and `tuning.json`. The threshold is set on the domains left out; `retired.json`, once the blind set, is only
counted at it. It takes half an hour.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sets import HERE, RequestSet, read_json, read_lessons

from patter_nb.llm import local
from patter_nb.llm.local import evidence
from patter_nb.llm.local.choose import asked, described
from patter_nb.llm.local.encoder import HEADS, JOINT_LAYERS, PARTS, WIDTH, Encoder, bare
from patter_nb.llm.local.files import DEFAULT_MODEL, encoder_files, model_file
from patter_nb.llm.local.runtime import Runtime
from patter_nb.llm.local.slots import SlotFiller
from patter_nb.llm.local.toolview import view

RANK, RATE, DECAY, WARM_UP, DROPOUT, HIDDEN = 16, 1e-3, 0.01, 60, 0.1, 32
EPOCHS, BATCH, TOOLS_EACH, PART, PARTS_OF_DOMAINS = 4, 12, 3, 0, 7
FALSE_CALLS_ALLOWED = 0.06
NORMS = ("attention.output.LayerNorm", "output.LayerNorm")


@dataclass(frozen=True, slots=True)
class Posed:
    """A request as it was posed: how it reads with and without its last mark, the tools of its domain, the evidence for each of them,
    whether the request says all that each must know, and which of them is meant, if any.
    """

    group: str
    text: str
    tools: tuple[str, ...]
    evidence: npt.NDArray[np.float32]
    complete: npt.NDArray[np.bool_]
    meant: int | None


def pose(name: str, requests: RequestSet, encoder: Encoder, slots: SlotFiller) -> list[Posed]:
    compared = evidence.Evidence(encoder)
    posed: list[Posed] = []
    for request in requests.requests:
        tools = [view(tool) for tool in requests.tools[request.domain]]
        reading = encoder.read(bare(request.text))
        said = [slots.guess(tool, reading) for tool in tools]
        numbers = np.stack([compared.of(reading, tool, filled) for tool, filled in zip(tools, said, strict=True)])
        complete = np.array([not filled.missing for filled in said])
        names = [tool.name for tool in tools]
        meant = names.index(request.tool) if request.tool else None
        posed.append(Posed(f"{name} {request.domain}", request.text, tuple(map(described, tools)), numbers, complete, meant))
    return posed


def posed_sets(encoder: Encoder) -> tuple[list[Posed], list[Posed]]:
    """What is fitted on, and what is only counted."""
    slots = SlotFiller(Runtime(model_file(DEFAULT_MODEL), threads=1), encoder)
    sets = {"lessons": read_lessons(), "tuning": read_json(HERE / "tuning.json"), "retired": read_json(HERE / "retired.json")}
    posed = {name: pose(name, requests, encoder, slots) for name, requests in sets.items()}
    return posed["lessons"] + posed["tuning"], posed["retired"]


def left_out(posed: Sequence[Posed]) -> tuple[list[Posed], list[Posed]]:
    """The domains to fit on, and the others."""
    part = {group: at % PARTS_OF_DOMAINS for at, group in enumerate(sorted({p.group for p in posed}))}
    return [p for p in posed if part[p.group] != PART], [p for p in posed if part[p.group] == PART]


def model_of(encoder: Encoder) -> Any:
    """The judge in torch, its changes still none."""
    import torch
    from torch import nn
    from torch.nn import functional as f

    def of(name: str) -> Any:
        return torch.tensor(np.array(encoder.weight(f"encoder.layer.{name}")))

    class Changed(nn.Module):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.register_buffer("weight", of(f"{name}.weight"), persistent=False)
            out, into = self.weight.shape
            self.down = nn.Parameter(torch.randn(RANK, into) / into**0.5)
            self.up = nn.Parameter(torch.zeros(out, RANK))
            self.bias = nn.Parameter(of(f"{name}.bias"))

        def forward(self, x: Any) -> Any:
            return f.linear(x, self.weight, self.bias) + (x @ self.down.T) @ self.up.T

    class Judge(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.segment = nn.Parameter(torch.zeros(2, WIDTH))
            self.dense = nn.ModuleDict({_key(f"{n}.{part}"): Changed(f"{n}.{part}") for n in JOINT_LAYERS for part in PARTS})
            kinds = [f"{n}.{norm}.{kind}" for n in JOINT_LAYERS for norm in NORMS for kind in ("weight", "bias")]
            self.norms = nn.ParameterDict({_key(name): nn.Parameter(of(name)) for name in kinds})
            self.head = nn.Linear(2 * WIDTH, 1)
            self.wide = nn.Sequential(nn.Linear(evidence.COUNT, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, 1))
            self.drop = nn.Dropout(DROPOUT)
            nn.init.normal_(self.head.weight, std=0.02)
            nn.init.constant_(self.head.bias, -1.0)

        def forward(self, x: Any, is_tool: Any, present: Any, numbers: Any) -> Any:
            x = x + self.segment[is_tool]
            for n in JOINT_LAYERS:
                x = self._layer(x, n, present[:, None, None, :])
            ours = ~is_tool.bool() & present
            pooled = torch.cat([x[:, 0], (x * ours[..., None]).sum(1) / ours.sum(1, keepdim=True)], -1)
            return (self.head(self.drop(pooled)) + self.wide(numbers))[:, 0]

        def _layer(self, x: Any, n: int, present: Any) -> Any:
            def dense(values: Any, part: str) -> Any:
                return self.dense[_key(f"{n}.{part}")](values)

            def norm(values: Any, name: str) -> Any:
                weight, bias = (self.norms[_key(f"{n}.{name}.{kind}")] for kind in ("weight", "bias"))
                return f.layer_norm(values, (WIDTH,), weight, bias, 1e-12)

            many, long, _ = x.shape
            q, k, v = (dense(x, part).view(many, long, HEADS, WIDTH // HEADS).transpose(1, 2) for part in PARTS[:3])
            seen = f.scaled_dot_product_attention(q, k, v, attn_mask=present).transpose(1, 2).reshape(many, long, WIDTH)
            x = norm(x + self.drop(dense(seen, "attention.output.dense")), NORMS[0])
            return norm(x + self.drop(dense(f.gelu(dense(x, "intermediate.dense")), "output.dense")), NORMS[1])

    return Judge()


def _key(name: str) -> str:
    return name.replace(".", "_")


class Fitting:
    """Fits a judge on `posed`."""

    def __init__(self, encoder: Encoder, posed: Sequence[Posed]) -> None:
        numbers = np.concatenate([p.evidence for p in posed])
        self.centre, self.scale = numbers.mean(axis=0), 1 / (numbers.std(axis=0) + 1e-6)
        self.model = model_of(encoder)
        self._posed = list(posed)
        self._encoder = encoder
        self._lower: dict[str, Any] = {}

    def run(self, epochs: int) -> None:
        import torch
        from torch.nn import functional as f

        steps, step, began = epochs * (len(self._posed) // BATCH), 0, time.monotonic()
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=RATE, weight_decay=DECAY)
        pace = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: min(1.0, (n + 1) / WARM_UP) * max(0.02, 1 - n / steps))
        self.model.train()
        for epoch in range(epochs):
            total = 0.0
            for batch in self._batches():
                chosen = [self._some_tools(p) for p in batch]
                texts = [random.choice((bare(p.text), asked(p.text), f"{bare(p.text)}.")) for p in batch]
                scores = self._scores([(text, p, tools) for text, p, tools in zip(texts, batch, chosen, strict=True)])
                losses, at = [], 0
                for p, tools in zip(batch, chosen, strict=True):
                    row = torch.cat([torch.zeros(1), scores[at : at + len(tools)]])
                    losses.append(f.cross_entropy(row[None], torch.tensor([0 if p.meant is None else 1])))
                    at += len(tools)
                loss = torch.stack(losses).mean()
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                optimizer.step()
                pace.step()
                total, step = total + loss.item(), step + 1
                if step % 100 == 0:
                    print(f"epoch {epoch} step {step} of {steps}, {time.monotonic() - began:.0f} s", flush=True)
            print(f"epoch {epoch}: loss {total * BATCH / len(self._posed):.3f}", flush=True)
        self.model.eval()

    def scores(self, posed: Sequence[Posed]) -> list[npt.NDArray[np.float64]]:
        import torch

        with torch.no_grad():
            return [self._scores([(asked(p.text), p, range(len(p.tools)))]).double().numpy() for p in posed]

    def _batches(self) -> list[list[Posed]]:
        """Requests of about the same length together, in random order."""
        random.shuffle(self._posed)
        batches: list[list[Posed]] = []
        for begin in range(0, len(self._posed), BATCH * 16):
            block = sorted(self._posed[begin : begin + BATCH * 16], key=lambda p: len(p.text))
            batches += [block[at : at + BATCH] for at in range(0, len(block), BATCH)]
        random.shuffle(batches)
        return batches

    def _some_tools(self, p: Posed) -> list[int]:
        """The tool that is meant first, then others."""
        others = [at for at in range(len(p.tools)) if at != p.meant]
        random.shuffle(others)
        return ([] if p.meant is None else [p.meant, *others])[:TOOLS_EACH] or others[:TOOLS_EACH]

    def _scores(self, asked_of: Sequence[tuple[str, Posed, Sequence[int]]]) -> Any:
        import torch

        pairs = [(self._read(text), self._read(p.tools[at]), p.evidence[at]) for text, p, tools in asked_of for at in tools]
        long = max(len(request) + len(tool) for request, tool, _ in pairs)
        x = torch.zeros(len(pairs), long, WIDTH)
        is_tool, present = torch.zeros(len(pairs), long, dtype=torch.long), torch.zeros(len(pairs), long, dtype=torch.bool)
        for row, (request, tool, _) in enumerate(pairs):
            end = len(request) + len(tool)
            x[row, : len(request)], x[row, len(request) : end] = request.float(), tool.float()
            is_tool[row, len(request) :], present[row, :end] = 1, True
        numbers = torch.tensor(np.stack([(numbers - self.centre) * self.scale for _, _, numbers in pairs]), dtype=torch.float32)
        return self.model(x, is_tool, present, numbers)

    def _read(self, text: str) -> Any:
        import torch

        if text not in self._lower:
            self._lower[text] = torch.tensor(self._encoder.lower(text)).half()
        return self._lower[text]

    def weights(self, threshold: float) -> dict[str, npt.NDArray[np.float16]]:
        """The judge as `patter_nb.llm.local.judge` reads it, in half precision."""
        found: dict[str, Any] = {"centre": self.centre, "scale": self.scale, "threshold": np.float32(threshold)}
        for name, value in self.model.state_dict().items():
            kind, _, rest = name.partition(".")
            if kind == "norms":
                found[_unkey(rest)] = value.numpy()
            elif kind == "dense":
                part, _, last = rest.rpartition(".")
                found[f"{_unkey(part)}.{last}"] = value.numpy()
            else:
                found[name] = value.numpy()
        return {name: np.asarray(value, np.float16) for name, value in found.items()}


def _unkey(key: str) -> str:
    names = [f"{n}.{part}" for n in JOINT_LAYERS for part in PARTS]
    names += [f"{n}.{norm}.{kind}" for n in JOINT_LAYERS for norm in NORMS for kind in ("weight", "bias")]
    return next(name for name in names if _key(name) == key)


def figures(posed: Sequence[Posed], scores: Sequence[npt.NDArray[np.float64]], limit: float | None = None) -> tuple[str, float]:
    """How many requests are given the tool they mean at `limit` (default: where so many false calls as are allowed are made)."""
    best = [max((score, at) for at, score in enumerate(row)) for row in scores]
    could = [(score, at == p.meant, p.meant is not None, bool(p.complete[at])) for p, (score, at) in zip(posed, best, strict=True)]
    others = sorted((score for score, _, wanted, complete in could if not wanted and complete), reverse=True)
    none = sum(not wanted for _, _, wanted, _ in could)
    limit = others[int(none * FALSE_CALLS_ALLOWED)] if limit is None else limit
    right = sum(score > limit and same and complete for score, same, wanted, complete in could if wanted)
    false = sum(score > limit for score in others)
    wanted = sum(wanted for _, _, wanted, _ in could)
    told = f"{right} of {wanted} ({right / wanted:.1%}) given the tool they mean"
    return f"{told}, {false} of {none} ({false / none:.1%}) given one wrongly", limit


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="write the weights")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    options = parser.parse_args()
    import torch

    random.seed(0)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    encoder = Encoder(*encoder_files())
    posed, retired = posed_sets(encoder)
    fit_on, others = left_out(posed)
    fitting = Fitting(encoder, fit_on)
    fitting.run(options.epochs)
    limit: float | None = None
    for name, asked_of in (("domains left out", others), ("retired", retired)):
        told, limit = figures(asked_of, fitting.scores(asked_of), limit)
        print(f"{name}: {told} at {limit:.2f}")
    if options.write:
        weights = fitting.weights(0.0 if limit is None else limit)
        np.savez_compressed(Path(local.__file__).parent / "judge.npz", allow_pickle=False, **weights)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
