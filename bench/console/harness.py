"""For the benches of the console: the kernels and the browser of the tests, a console opened in them, and how figures are told."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
TESTS = HERE.parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "kernel"), str(TESTS / "browser")]

from chromium import Setup, chromium  # noqa: E402  # found by the line above
from console_page import ConsolePage, frame, shown  # noqa: E402
from kernel_envs import python_with  # noqa: E402
from kernel_page import running_kernel  # noqa: E402
from lab_page import Lab, notebook_open  # noqa: E402
from lab_server import running_lab  # noqa: E402
from microphone import Recordings  # noqa: E402

__all__ = [
    "WATCH_PLAYER",
    "ConsolePage",
    "Lab",
    "Recordings",
    "console",
    "figure",
    "frame",
    "heard_frames",
    "load",
    "passed",
    "percentile",
    "python_with",
    "running_kernel",
    "shown",
]

PREPARE = f"""
import asyncio, sys, time
import numpy as np
sys.path.insert(0, {str(HERE)!r})
from in_kernel import Arrivals, LoopLag, NoiseTTS, mark_frames
from patter_nb import Patter
from patter_nb.testing import RecordedVAD, ScriptedLLM, ScriptedSTT
mark_frames()
"""
WATCH_PLAYER = """() => {
  const engine = globalThis[Symbol.for("patter_nb.audio.2")];
  const [id] = globalThis[Symbol.for("patter_nb.console.1")].leases.keys();
  const player = engine.player(id);
  window.__player = [];
  for (const name of ["onPlayed", "onPaused", "onResumed"]) {
    const before = player[name];
    player[name] = (message) => {
      window.__player.push(message);
      before?.(message);
    };
  }
}"""
"""What the page's loudspeaker tells is kept in __player."""


@asynccontextmanager
async def console(*cells: str, microphone: Any = None, nodelay: bool = False, run: int | None = None) -> AsyncIterator[Lab]:
    """JupyterLab with the console: after `PREPARE` in the first cell, the first `run` cells are run, or all.

    `microphone`: pieces of a recording.
    """
    with tempfile.TemporaryDirectory() as folder:
        home, sounds = Path(folder) / "lab", Path(folder) / "sounds"
        sounds.mkdir()
        if nodelay:
            settings = {"ServerApp": {"jpserver_extensions": {"patter_nb.console.nodelay": True}}}
            settings_file = home / "config" / "jupyter_server_config.d" / "nodelay.json"
            settings_file.parent.mkdir(parents=True)
            settings_file.write_text(json.dumps(settings), "utf-8")
        else:
            home.mkdir()
        record = Recordings(sounds)
        silence = await record(1.0)
        setup = Setup(microphone=silence if microphone is None else await record(*microphone))
        with running_lab(home) as server:
            async with chromium(setup, silence) as context, notebook_open(context, server, "bench", (PREPARE, *cells)) as page:
                for index in range((len(cells) if run is None else run) + 1):
                    await page.run(index)
                await page.region("Transcript").wait_for()
                yield page
                if page.page_errors:
                    raise RuntimeError("in the page:\n" + "\n".join(page.page_errors))
                if nodelay and "TCP_NODELAY" not in server.log.read_text("utf-8", "replace"):
                    raise RuntimeError("the server has not loaded patter_nb.console.nodelay")


async def passed(page: Lab, seconds: float) -> None:
    """Let time pass, and the kernel be asked for nothing now and then: of a client that reads nothing for long, answers get lost."""
    for left in np.arange(seconds, 0, -5.0):
        await asyncio.sleep(min(left, 5.0))
        await page.value("0")


async def heard_frames(page: Lab) -> tuple[int, int, Any]:
    """What the page's only audio context has put out: its rate, the number of its first frame, and the samples."""
    blocks = await page.js("() => window.__heard(0)")
    contexts = {block["context"] for block in blocks}
    if len(contexts) != 1:
        raise RuntimeError(f"the page has played by {len(contexts)} audio contexts")
    first, rate = blocks[0]["frame"], round(blocks[0]["rate"])
    out = np.zeros(blocks[-1]["frame"] - first + 2048, np.int16)
    for block in blocks:
        out[block["frame"] - first :][:2048] = np.frombuffer(base64.b64decode(block["pcm"]), "<i2")
    return rate, first, out


def percentile(values: Iterable[float], percent: float) -> float:
    return float(np.percentile(np.fromiter(values, float), percent))


def load() -> str:
    """The load that is there, for a figure that depends on it."""
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


def figure(name: str, value: str, target: str = "") -> None:
    print(f"{name + ':':<58} {value}" + (f"   (target: {target})" if target else ""), flush=True)
