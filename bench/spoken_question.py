"""How long a person waits for a spoken answer: python bench/spoken_question.py [RUNS]

The demo agent hears notebooks/question.wav in real time, each run in a process of its own that has just loaded the models, and
answers it with a tool. Two clocks are read: the log's (end of speech, its notice, the first sample played), and the recording of the
call itself, from the last loud sample of the question to the first of the answer. The targets are meant for two idle cores; the load
that was there is printed.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from patter_nb.audio.frames import SAMPLE_RATE, Pcm
from patter_nb.audio.wav import read_wav
from patter_nb.demo import agent
from patter_nb.patter import Patter
from patter_nb.transports.wav import WavTransport

QUESTION = Path(__file__).parent.parent / "notebooks" / "question.wav"
RUNS = 9
TARGET_MS, TARGET_MB = 1500, 700
LOUD = 330
"""-40 dB of full scale."""


def loud(pcm: Pcm) -> Any:
    """The positions of the samples that are loud enough to be heard."""
    return np.flatnonzero(np.abs(pcm.astype(np.int32)) > LOUD)


async def once() -> dict[str, Any]:
    """One call: milliseconds by name, and megabytes."""
    transport = WavTransport(QUESTION)
    async with Patter().serve(agent(), transport=transport, name="bench") as session:
        await session.wait()
    turn = session.turns[-1]
    assert turn.status == "completed" and turn.tool_calls, f"the question was not answered by a tool: {turn}"
    gap = loud(transport.record)[0] - loud(read_wav(QUESTION)[0])[-1]
    parts = {name: turn.latency[name] for name in ("stt", "llm_first_token", "tools", "tts_first_audio") if name in turn.latency}
    return {
        "endpointing": turn.latency["endpointing"],
        "answer": turn.latency["response"] - turn.latency["endpointing"],
        "recorded": 1000 * gap / SAMPLE_RATE,
        "parts": parts,
        "peak_mb": peak_mb(),
    }


def peak_mb() -> float:
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    print(f"{os.cpu_count()} cores, load before: {os.getloadavg()[0]:.1f}")
    results = []
    for number in range(1, runs + 1):
        ran = subprocess.run([sys.executable, __file__, "--once"], check=True, capture_output=True, encoding="utf-8")
        results.append(json.loads(ran.stdout))
        print(f"run {number}: {json.dumps(results[-1])}", flush=True)
    names = ("endpointing", "answer", "recorded", "peak_mb")
    endpointing, answer, recorded, peak = ([result[name] for result in results] for name in names)
    print(f"end of speech noticed: {median(endpointing):.0f} ms after the last voice (median of {runs} runs, as below)")
    print(f"first audible sample:  {median(answer):.0f} ms after that, {min(answer):.0f} to {max(answer):.0f} (target: {TARGET_MS})")
    print(f"both, as recorded:     {median(recorded):.0f} ms from the last loud sample of the question to the first of the answer")
    print(f"whole process:         at most {max(peak):.0f} MB (target: at most {TARGET_MB} MB)")


if __name__ == "__main__":
    if sys.argv[1:] == ["--once"]:
        print(json.dumps(asyncio.run(once())))
    else:
        main()
