"""When what a page tells is heard while a cell runs: python bench/console/kernels.py [SECONDS]

Real kernels of three releases of ipykernel, with a test in the place of the page that sends the microphone's frames at their pace, for
SECONDS (3) while a cell sleeps, awaits or computes. Printed as the table of docs/kernels.md: how many frames the session had heard when
the cell ended, and how late they were, medians. No frame may be lost or out of order, which is checked. The environments are kept in
$PATTER_TEST_ENVS, else in a temporary folder; the load that was there is printed.
"""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import tempfile
from pathlib import Path
from statistics import median

from harness import frame, python_with, running_kernel, shown

SETTINGS = (("6.31.0", False), ("7.1.0", False), ("7.1.0", True), ("7.4.0", False), ("7.4.0", True))
CELLS = {
    "sleeps": "time.sleep({seconds})",
    "awaits": "await asyncio.sleep({seconds})",
    "computes": "by = time.monotonic() + {seconds}\nwhile time.monotonic() < by: pass",
}


async def measured(python: Path, subshell: bool, runtime: str, seconds: float) -> list[str]:
    """The cells of the table for one kernel and runtime."""
    told = []
    with tempfile.TemporaryDirectory() as home:
        async with running_kernel(python, Path(home) / "kernel", subshell=subshell) as kernel:
            page = await shown(kernel, runtime)
            for code in CELLS.values():
                before = page.spoken
                heard = f"print(len(session.audio.heard) // 320 - {before})"
                cell = await page.running(f"print('runs', flush=True)\n{code.format(seconds=seconds + 0.5)}\n{heard}")
                await page.speak_for(seconds)
                live = int((await kernel.finished(cell)).split()[-1])
                assert await page.heard() == b"".join(map(frame, range(page.spoken))), "frames were lost, or out of order"
                late = await page.value(f"np.asarray(session.events.frames)['late_ms'][{before}:].tolist()")
                told.append(f"{live}/{page.spoken - before}, {median(late):.0f} ms")
    return told


async def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load before: {os.getloadavg()[0]:.1f}\n")
    print("| ipykernel | comms over subshells | runtime | a cell that " + " | ".join(CELLS) + " |")
    print("|---|---|---|" + "---|" * len(CELLS))
    with tempfile.TemporaryDirectory() as made:
        envs = Path(os.environ.get("PATTER_TEST_ENVS") or made)
        for version, subshell in SETTINGS:
            for runtime in ("kernel", "thread"):
                told = await measured(python_with(version, envs), subshell, runtime, seconds)
                where = "there are none" if version.startswith("6") else "yes" if subshell else "no"
                print(f"| {version} | {where} | {runtime} | " + " | ".join(told) + " |", flush=True)
    print(f"\nload after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    asyncio.run(main())
