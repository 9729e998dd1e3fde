"""What the screen costs: python bench/console/painting.py [SECONDS]

A real JupyterLab and Chromium with the console shown.

* A model sends 2,000 chunks at once, words of five characters on average: from the last of them, in the kernel, to the picture on the
  screen that shows them all, and what went over the websocket, JupyterLab's own messages among it. Each answer is the first of its session.
* For SECONDS (10) a model sends 100 chunks a second while the microphone is open: how late the kernel's loop comes back when it is asked
  every 5 ms, beside an idle kernel's.
* For SECONDS the microphone is open at 50 frames a second: how busy the page's main thread is by Chromium's own trace (the processor's time
  of its tasks), less that of a page that receives 25 empty comm messages a second; and, to compare, less that of one that sends as many.
  Most of it is JupyterLab's, which repaints its status for each message that the kernel handles. Without a GPU painting costs more.

The targets are meant for two idle cores; the load that was there is printed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from statistics import median
from typing import Any

from harness import Lab, console, figure, load, percentile

CHUNKS, ANSWERS = 2000, 3
ON_SCREEN_MS, BYTES, LAG_MS, BUSY_PERCENT = 150, 100_000, 15, 30
SERVE = """
import re
from patter_nb.llm.base import LLMChunk

class Streaming:
    provider, model, costs = "streaming", "bench", False

    def __init__(self):
        self.chunks, self.every_s, self.ended_ms = 0, 0.0, 0.0

    async def stream(self, messages, tools=None, *, cancel_event=None, call_id=None):
        for number in range(self.chunks - 1):
            yield LLMChunk("text", content=WORDS[number % len(WORDS)])
            if self.every_s:
                await asyncio.sleep(self.every_s)
        yield LLMChunk("text", content="The end.")
        self.ended_ms = time.time() * 1000
        yield LLMChunk("done", finish_reason="stop")

WORDS = re.findall(r"\\S+ ", "It holds four hundred paintings of ships and one of a horse. On the first floor you find the old harbour. ")
llm = Streaming()
llm.chunks = {chunks}
parts = dict(stt=ScriptedSTT([]), vad=RecordedVAD.speaking())
session = await Patter().serve(Patter().agent(llm=llm, **parts))
"""
EMPTY = """
import anywidget

class Empty(anywidget.AnyWidget):
    _esm = '''export default { render({ model }) { window.__empty = model; } };'''

async def send_empty(seconds):
    began = time.monotonic()
    for number in range(int(25 * seconds)):
        await asyncio.sleep(max(0.0, began + number / 25 - time.monotonic()))
        empty.send({})

empty = Empty()
empty
"""
WATCH_CHUNKS = """(last) => {
  window.__shown = 0;
  const region = document.querySelector('[aria-label="Chunks"]');
  const look = () => {
    const chunks = region.querySelectorAll(".patter-chunk");
    if (!chunks.length || chunks[chunks.length - 1].textContent.trim() !== last) return;
    observer.disconnect();
    const shown = () => (window.__shown ||= performance.timeOrigin + performance.now());
    requestAnimationFrame(() => setTimeout(shown));
  };
  const observer = new MutationObserver(look);
  observer.observe(region, { childList: true, subtree: true, characterData: true });
}"""
CHUNKS_THERE = """() => {
  const [lease] = globalThis[Symbol.for("patter_nb.console.1")].leases.values();
  return lease.store.picture.turns.at(-1).chunks.length;
}"""


async def flood() -> None:
    """2,000 chunks at once, as the first answer of some sessions."""
    late, sizes, kept = [], [], []
    for _ in range(ANSWERS):
        async with console(SERVE.replace("{chunks}", str(CHUNKS)), "session") as page:
            await page.execute("1")
            await asyncio.sleep(1)
            before = page.traffic.bytes_down + page.traffic.bytes_up
            await page.js(WATCH_CHUNKS, "The end.")
            await page.execute("turn = await session.ask('go')")
            shown = await page.until("() => window.__shown")
            await asyncio.sleep(1)  # the turn is over, and what is kept of it is sent
            sizes.append(page.traffic.bytes_down + page.traffic.bytes_up - before)
            late.append(shown - await page.value("llm.ended_ms"))
            kept.append(await page.js(CHUNKS_THERE))
    told = f"{median(late):.0f} ms after the last ({min(late):.0f} to {max(late):.0f} in {ANSWERS} sessions; {load()})"
    figure(f"{CHUNKS:,} chunks at once are on screen", told, f"{ON_SCREEN_MS} ms")
    told = f"{median(sizes) / 1000:.0f} kB ({min(sizes) / 1000:.0f} to {max(sizes) / 1000:.0f})"
    figure("over the websocket meanwhile", told, f"{BYTES // 1000} kB")
    figure("chunks that the page has", f"{min(kept):,}", f"{CHUNKS:,}")


async def lag(page: Lab, seconds: float) -> None:
    """The loop of the kernel while a model streams and the microphone is open."""
    await page.execute("lag = LoopLag()")
    await asyncio.sleep(seconds)
    idle = await page.value("lag.stop()")
    await page.page.get_by_role("button", name="Talk").click()
    await asyncio.sleep(2)
    await page.execute(f"llm.chunks, llm.every_s = {round(100 * seconds)}, 0.01\nasking = asyncio.ensure_future(session.ask('go'))")
    await page.execute("lag = LoopLag()")
    await asyncio.sleep(seconds)
    lags = await page.value("lag.stop()")
    told = f"p99 {percentile(lags, 99):.1f} ms (p50 {percentile(lags, 50):.1f}; idle p99 {percentile(idle, 99):.1f} ms; {load()})"
    figure("the kernel's loop comes back late while streaming", told, f"{LAG_MS} ms")
    await page.until(lambda: page.value("asking.done()"))


async def busy_percent(page: Lab, seconds: float) -> float:
    """How much of the time the page's main thread computes, by the processor's time of its tasks."""
    browser = page.page.context.browser
    if browser is None:
        raise RuntimeError("the browser is gone")
    await browser.start_tracing(categories=["disabled-by-default-devtools.timeline", "__metadata"])
    await asyncio.sleep(seconds)
    trace = json.loads(await browser.stop_tracing())["traceEvents"]
    main = {(at["pid"], at["tid"]) for at in trace if at["name"] == "thread_name" and at["args"]["name"] == "CrRendererMain"}
    busy: Counter[Any] = Counter()
    for event in trace:
        at = event["pid"], event["tid"]
        if event["name"] == "RunTask" and event["ph"] == "X" and at in main:
            busy[at] += event.get("tdur", event["dur"])  # a few are not measured
    return float(100 * max(busy.values(), default=0) / 1e6 / seconds)


async def busy(page: Lab, seconds: float) -> None:
    """The main thread with the microphone open, and with as many empty messages."""
    await page.page.get_by_role("button", name="Stop").click()
    await asyncio.sleep(2)
    idle = await busy_percent(page, seconds)
    await page.execute(f"sending = asyncio.ensure_future(send_empty({seconds + 3}))")
    await asyncio.sleep(1)
    received = await busy_percent(page, seconds)
    await asyncio.sleep(3)
    await page.js("() => void (window.__sending = setInterval(() => window.__empty.send({}), 40))")
    await asyncio.sleep(1)
    sent = await busy_percent(page, seconds)
    await page.js("() => clearInterval(window.__sending)")
    await page.page.get_by_role("button", name="Talk").click()
    await asyncio.sleep(2)
    talking = await busy_percent(page, seconds)
    parts = f"{talking:.0f} % - {received:.0f} %; idle {idle:.0f} %, sending 25 empty messages {sent:.0f} %"
    figure(
        "main thread at 50 frames/s above 25 empty messages received",
        f"{talking - received:.0f} % ({parts}; {load()})",
        f"{BUSY_PERCENT} %",
    )
    figure("the same above 25 empty messages sent", f"{talking - sent:.0f} %")


async def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    print(f"before: {load()}")
    await flood()
    async with console(SERVE.replace("{chunks}", "0"), "session", EMPTY) as page:
        await lag(page, seconds)
        await busy(page, seconds)


if __name__ == "__main__":
    asyncio.run(main())
