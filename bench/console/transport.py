"""How the microphone's sound comes to the kernel and the agent's to the ear: python bench/console/transport.py [SECONDS [PACED_SECONDS]]

A real JupyterLab and Chromium, a fake microphone. For SECONDS (60) the microphone alone, then with PACED_SECONDS (180) of the agent's sound
sent down at the pace at which it is played; both again, for SECONDS each, with the server extension patter_nb.console.nodelay. One way is
from the moment at which the audio thread has the last frame of a message complete to the kernel's handler, by the clock of this machine
that both share, to 1 ms. Gaps are looked for in what the page really put out: noise, in which silence of more than 2.5 ms is one. The
targets are meant for two idle cores; the load that was there is printed.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import numpy as np
from harness import WATCH_PLAYER, Lab, console, figure, heard_frames, load, passed, percentile

SERVE = """
voice = NoiseTTS({seconds}, lead_s=0.4)
parts = dict(stt=ScriptedSTT([]), vad=RecordedVAD.speaking(), tts=voice)
session = await Patter().serve(Patter().agent(llm=ScriptedLLM([voice.text]), **parts))
"""
ONE_WAY_MS, DUPLEX_MS, DUPLEX_NODELAY_MS = 25, 60, 25
SILENT = 30
"""-61 dB of full scale; the noise has -24."""


async def arrivals(page: Lab, since: int) -> Any:
    """The rows of `in_kernel.Arrivals` from `since` on, as an array."""
    return np.array(await page.value(f"arrivals.rows[{since}:]"), float)


def tell(name: str, rows: Any, target_ms: float) -> None:
    ms = rows[:, 0] - rows[:, 1]
    parts = f"p50 {percentile(ms, 50):.1f}, p99 {percentile(ms, 99):.1f}, max {ms.max():.0f} ms, {len(ms)} messages"
    figure(name, f"p95 {percentile(ms, 95):.1f} ms ({parts}; {load()})", f"{target_ms} ms")


def missing(rows: Any) -> int:
    """Frames between the first and the last that never came, and those out of order."""
    seq, count = rows[:, 3], rows[:, 4]
    return int(np.abs(seq[1:] - (seq + count)[:-1]).sum())


def gaps_ms(out: Any, rate: int) -> list[float]:
    """How long each silence in the middle of the sound is, in ms."""
    step = rate // 400
    loud = np.abs(out[: len(out) // step * step].astype(np.int32)).reshape(-1, step).max(axis=1) > SILENT
    first, last = np.flatnonzero(loud)[[0, -1]]
    edges = np.flatnonzero(np.diff(loud[first : last + 1].astype(np.int8)))
    return [2.5 * (stop - start) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


async def measure(seconds: float, paced_s: float, *, nodelay: bool) -> None:
    wire = "with nodelay" if nodelay else "plain"
    async with console(SERVE.format(seconds=paced_s), "session", "arrivals = Arrivals(session)", nodelay=nodelay) as page:
        await page.page.get_by_role("button", name="Talk").click()
        await asyncio.sleep(3)
        await page.js(WATCH_PLAYER)
        since = await page.value("len(arrivals.rows)")
        await passed(page, seconds)
        alone = await arrivals(page, since)
        tell(f"microphone alone, one way, {wire}", alone, ONE_WAY_MS)
        figure(f"frames lost or out of order in {seconds:.0f} s, {wire}", f"{missing(alone)} of {len(alone) * 2}", "0")
        await page.execute("asking = asyncio.ensure_future(session.ask('go on'))")
        await asyncio.sleep(1)
        since = await page.value("len(arrivals.rows)")
        await passed(page, paced_s - 2)
        duplex = await arrivals(page, since)
        tell(f"while sound is played, one way, {wire}", duplex, DUPLEX_NODELAY_MS if nodelay else DUPLEX_MS)
        await asyncio.sleep(3)
        if not await page.value("asking.done() and session.turns[0].status == 'completed'"):
            raise RuntimeError("the answer is not over yet")
        rate, _, out = await heard_frames(page)
        gaps = gaps_ms(out, rate)
        underruns = max(message["underruns"] for message in await page.js("() => __player.filter(({kind}) => kind === 'played')"))
        told = f"{len(gaps)} gaps{f', the longest {max(gaps):.0f} ms' if gaps else ''}, {underruns} underruns ({load()})"
        figure(f"{paced_s:.0f} paced seconds, {wire}", told, "none")
        figure(f"frames lost or out of order meanwhile, {wire}", f"{missing(duplex)} of {len(duplex) * 2}", "0")


async def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    paced_s = float(sys.argv[2]) if len(sys.argv) > 2 else 180.0
    print(f"before: {load()}")
    await measure(seconds, paced_s, nodelay=False)
    await measure(seconds, min(seconds, paced_s), nodelay=True)


if __name__ == "__main__":
    asyncio.run(main())
