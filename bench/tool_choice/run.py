"""Measures how well `LocalLLM` chooses tools and fills their arguments.

    python bench/tool_choice/run.py                     # the held-out set
    python bench/tool_choice/run.py --set tuning.json   # another one
    python bench/tool_choice/run.py --set tuning.json --errors

A request counts as right when the one tool it means is called with accepted arguments and nothing else, and as a false call when it
means none and one is called. Each is posed twice: with the tools of its own domain, and with all tools together. The held-out set is
only ever counted: its requests are not printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sets import HERE, Request, RequestSet, read_json

from patter_nb.llm.base import ToolSpec
from patter_nb.llm.local import LocalLLM

HELD_OUT = "heldout.json"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one request; `called` is (name, arguments) or None."""

    request: Request
    called: tuple[str, Mapping[str, Any]] | None
    seconds: float

    @property
    def right(self) -> bool:
        if self.called is None or self.called[0] != self.request.tool:
            return False
        accepted, arguments = self.request.accepted or {}, self.called[1]
        return all(name in accepted for name in arguments) and all(
            is_accepted(arguments.get(name), values) for name, values in accepted.items()
        )


def is_accepted(value: object, accepted: Sequence[object]) -> bool:
    """Equal as numbers, as booleans, or as text but for case and punctuation."""
    return any(_plain(value) == _plain(other) for other in accepted)


def _plain(value: object) -> object:
    if isinstance(value, str):
        return " ".join(re.findall(r"[\w']+", value.lower()))
    return (type(value) is bool, value)


async def pose(llm: LocalLLM, request: Request, tools: Sequence[ToolSpec]) -> Outcome:
    began = time.perf_counter()
    chunks = [chunk async for chunk in llm.stream([{"role": "user", "content": request.text}], tools)]
    seconds = time.perf_counter() - began
    calls = [chunk for chunk in chunks if chunk.type == "tool_call"]
    return Outcome(request, (str(calls[0].name), json.loads(calls[0].arguments or "{}")) if calls else None, seconds)


async def measure(llm: LocalLLM, requests: RequestSet, *, together: bool) -> list[Outcome]:
    everything = [tool for tools in requests.tools.values() for tool in tools]
    await llm.warmup(everything)
    return [await pose(llm, request, everything if together else requests.tools[request.domain]) for request in requests.requests]


def report(title: str, outcomes: Sequence[Outcome]) -> str:
    wanted = [outcome for outcome in outcomes if outcome.request.tool]
    others = [outcome for outcome in outcomes if not outcome.request.tool]
    hard = [outcome for outcome in wanted if outcome.request.shares_no_word]
    right, hard_right, false = sum(o.right for o in wanted), sum(o.right for o in hard), sum(o.called is not None for o in others)
    named = sum(outcome.called is not None and outcome.called[0] == outcome.request.tool for outcome in wanted)
    wrong = sum(outcome.called is not None and not outcome.right for outcome in wanted)
    seconds = sorted(outcome.seconds for outcome in outcomes)
    return (
        f"{title}: {right} of {len(wanted)} right calls ({hard_right} of the {len(hard)} that share no word with the tool), "
        f"{false} false calls of {len(others)}\n"
        f"  {named} called the right tool, {wrong} called a wrong one or with wrong arguments\n"
        f"  median {statistics.median(seconds):.2f} s, 90 % within {seconds[int(len(seconds) * 0.9)]:.2f} s\n"
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--set", default=HELD_OUT, help="a file beside this one")
    parser.add_argument("--errors", action="store_true", help="show what went wrong; not for the held-out set")
    options = parser.parse_args()
    if options.errors and Path(options.set).name == HELD_OUT:
        sys.exit("The held-out set is only counted; look at the errors of another set.")
    requests = read_json(HERE / options.set)
    llm = LocalLLM()
    for title, together in (("tools of the domain", False), ("all tools together", True)):
        outcomes = await measure(llm, requests, together=together)
        sys.stdout.write(report(title, outcomes))
        for outcome in outcomes if options.errors else ():
            if (outcome.called and not outcome.right) or (outcome.request.tool and not outcome.called):
                sys.stdout.write(
                    f"    {outcome.request.text!r} -> {outcome.called}, not {outcome.request.tool} {outcome.request.accepted}\n"
                )
    await llm.aclose()


if __name__ == "__main__":
    asyncio.run(main())
