"""What the timeline costs: python bench/console/timeline.py [MINUTES]

A real JupyterLab and Chromium.

* A session of MINUTES (60) with real speech on both sides, 5 turns a minute and all that goes with them, is shown: from running the cell to
  a picture of all of it, with both waveforms, and, after it has been read once, again by another view. How long the kernel's loop is kept
  meanwhile is told beside it.
* The wheel zooms in and out at a moment of it, one step for each frame of the screen: pictures a second, and the gaps between them.
* Five sessions stream at once, each 50 chunks a second into its chunks and its timeline, while the microphone of one of them is open: how
  often each picture is painted, and how late the kernel's loop comes back.

The targets are meant for two idle cores; the load that was there is printed.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import pairwise
from typing import Any

from harness import Lab, console, figure, load, passed, percentile

OPENS_MS, FRAMES_A_S, REPAINTS_A_S, LAG_MS = 1000, 30, 10, 10
STREAMS, SECONDS = 5, 10
SERVE = """
from long_session import fill
session = await Patter().serve(Patter().agent(llm=ScriptedLLM([]), stt=ScriptedSTT([]), vad=RecordedVAD.speaking()))
fill(session, {minutes})
"""
SHOW = "session.view('timeline')"
"""The same view again is another picture."""
FIVE = """
import ipywidgets
from patter_nb.llm.base import LLMChunk

class Streaming:
    provider, model, costs = "streaming", "bench", False

    async def stream(self, messages, tools=None, *, cancel_event=None, call_id=None):
        for number in range({chunks}):
            yield LLMChunk("text", content=f"word{number} ")
            await asyncio.sleep(0.02)
        yield LLMChunk("done", finish_reason="stop")

phone = Patter()
ears = [dict(stt=ScriptedSTT([]), vad=RecordedVAD.speaking())] + [{}] * {others}
sessions = [await phone.serve(phone.agent(llm=Streaming(), **parts), name=f"s{place}") for place, parts in enumerate(ears)]
session = sessions[0]
"""
SHOW_FIVE = """
ipywidgets.VBox([ipywidgets.HBox([each.view("timeline"), each.view("chunks")]) for each in sessions])
"""
COUNT = """() => {
  window.__paints = [];
  const { setTransform } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.setTransform = function (...given) {
    window.__paints.push([[...document.querySelectorAll(".patter-time-picture")].indexOf(this.canvas), performance.now()]);
    return setTransform.apply(this, given);
  };
}"""
COUNT_CHUNKS = """() => {
  window.__chunkFrames = new Set();
  const regions = document.querySelectorAll('[aria-label="Chunks"]');
  const last = regions[regions.length - 1];
  const observer = new MutationObserver(() => requestAnimationFrame((frame) => window.__chunkFrames.add(frame)));
  observer.observe(last, { childList: true, subtree: true, characterData: true });
}"""
"""In how many frames of the screen the last chunks panel was another."""
DRAWN = """(index, began) => {
  const canvas = document.querySelectorAll(".patter-time-picture")[index];
  if (!canvas || canvas.width === 0) return 0;
  const brush = canvas.getContext("2d");
  const ratio = canvas.width / canvas.clientWidth;
  const loud = (top) => {
    const { data, width } = brush.getImageData(0, Math.round((top + 23) * ratio) - 8, canvas.width, 1);
    const seen = new Set();
    for (let x = Math.round(60 * ratio); x < width; x++) {
      const [r, g, b] = data.subarray(4 * x, 4 * x + 3);
      if (Math.max(r, g, b) - Math.min(r, g, b) > 60) seen.add(Math.floor((x / width) * 20));
    }
    return seen.size;
  };
  return loud(41) >= 17 && loud(163) >= 17 ? performance.now() : 0;
}"""
"""Whether there is sound of both voices over all the width of the picture."""
WATCH = """(index) => {
  window.__began = performance.now();
  window.__drawn = 0;
  const drawn = DRAWN;
  const look = () => {
    window.__drawn ||= drawn(index);
    if (!window.__drawn) requestAnimationFrame(look);
  };
  look();
}"""
ZOOM = """async (seconds) => {
  const canvas = document.querySelector(".patter-time-picture");
  const box = canvas.getBoundingClientRect();
  const before = window.__paints.length;
  const frames = [];
  const began = performance.now();
  let step = 0;
  while (performance.now() - began < 1000 * seconds) {
    const deltaY = Math.floor(step++ / 60) % 2 === 0 ? -60 : 60;
    const place = { clientX: box.left + 0.4 * box.width, clientY: box.top + 60 };
    canvas.dispatchEvent(new WheelEvent("wheel", { deltaY, ...place, bubbles: true, cancelable: true }));
    frames.push(await new Promise(requestAnimationFrame));
  }
  return [frames, window.__paints.slice(before).map(([, at]) => at)];
}"""


async def opened(page: Lab, cell: int, index: int) -> tuple[float, list[float]]:
    """How long until the picture that `cell` shows is complete, and how late the loop came back meanwhile, in ms."""
    await page.execute("lag = LoopLag()")
    await page.js(WATCH.replace("DRAWN", f"({DRAWN})"), index)
    await page.run(cell)
    await page.until("() => window.__drawn > 0")
    took = await page.js("() => window.__drawn - window.__began")
    return float(took), await page.value("lag.stop()")


async def one_long(minutes: float) -> None:
    async with console(SERVE.replace("{minutes}", str(minutes)), "session", SHOW, SHOW, run=2) as page:
        await page.js(COUNT)
        await page.resize(1300, 2600)
        await passed(page, 2)
        for what, cell, index in (("first", 3, 0), ("again", 4, 1)):
            took, lags = await opened(page, cell, index)
            told = f"{took:.0f} ms (the loop was kept {max(lags):.0f} ms at most, p99 {percentile(lags, 99):.1f}; {load()})"
            figure(f"a session of {minutes:g} minutes is drawn, {what}", told, f"{OPENS_MS} ms")
        await page.page.locator(".patter-time-picture").first.scroll_into_view_if_needed()
        await passed(page, 2)
        frames, paints = await page.js(ZOOM, 6)
        gaps = [after - before for before, after in pairwise(paints)]
        rate = 1000 * len(gaps) / (paints[-1] - paints[0])
        screen = 1000 * (len(frames) - 1) / (frames[-1] - frames[0])
        apart = f"gaps p50 {percentile(gaps, 50):.0f}, p99 {percentile(gaps, 99):.0f} ms"
        told = f"{rate:.0f} a second (screen {screen:.0f}; {apart}; {load()})"
        figure("it zooms, pictures", told, f"{FRAMES_A_S} a second")


async def five() -> None:
    serve = FIVE.replace("{chunks}", str(50 * (SECONDS + 4))).replace("{others}", str(STREAMS - 1))
    async with console(serve, "session", SHOW_FIVE, run=2) as page:
        await page.js(COUNT)
        await page.resize(1500, 3200)
        await page.run(3)
        await page.page.locator(".patter-time-picture").nth(STREAMS - 1).wait_for()
        await page.page.get_by_role("button", name="Talk").first.click()
        await passed(page, 2)
        await page.execute("lag = LoopLag()")
        await passed(page, 4)
        idle = await page.value("lag.stop()")
        await page.execute("lag = LoopLag()\nasking = [asyncio.ensure_future(each.ask('go')) for each in sessions]")
        await passed(page, 2)
        await page.js(COUNT_CHUNKS)
        begin = await page.js("() => performance.now()")
        await page.execute("lag.stop(); lag = LoopLag()")
        await passed(page, SECONDS)
        lags = await page.value("lag.stop()")
        paints: list[Any] = await page.js("() => window.__paints")
        chunk_frames = await page.js("() => window.__chunkFrames.size")
        end = await page.js("() => performance.now()")
        rates = [1000 * sum(which == place and at >= begin for which, at in paints) / (end - begin) for place in range(STREAMS)]
        busiest = max(_busiest([at for which, at in paints if which == place and at >= begin]) for place in range(STREAMS))
        each = ", ".join(f"{rate:.1f}" for rate in rates)
        told = f"{max(rates):.1f} a second at most (each {each}; {busiest} in any one second; {load()})"
        figure(f"{STREAMS} streams at once, pictures of each timeline", told, f"{REPAINTS_A_S} a second")
        before = f"before, with the microphone open, p99 {percentile(idle, 99):.1f} ms"
        figure("and of each chunks panel", f"{1000 * chunk_frames / (end - begin):.1f} a second", f"{REPAINTS_A_S} a second")
        told = f"p99 {percentile(lags, 99):.1f} ms (p50 {percentile(lags, 50):.1f}; {before}; {load()})"
        figure("the kernel's loop comes back late meanwhile", told, f"{LAG_MS} ms")


def _busiest(times: list[float]) -> int:
    return max((sum(begin <= at < begin + 1000 for at in times) for begin in times), default=0)


async def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    print(f"before: {load()}")
    await one_long(minutes)
    await five()


if __name__ == "__main__":
    asyncio.run(main())
