"""How fast the agent falls silent when somebody is loud, and how it goes on: python bench/console/barge_in.py [SLAMS]

A door slams every two seconds (20 times) before a fake microphone in a real Chromium, while the agent speaks noise; nobody says a word,
so that each time the page pauses by itself, the session denies it, and playback goes on. Then the same (12 times) while a cell blocks the
kernel, which can deny nothing: the page goes on by itself. All times are of one clock, the audio context's, in which the sample that comes
in and the one that goes out have numbers: from the first loud sample in what the page sends to the first of silence in what it puts out, to
3 ms; what microphone and loudspeaker add is not in it, nor what the page's resampler holds back (2 ms). Whether a sample was lost is told
twice: by the positions that the page's player names, and by where the sound before and after a pause is found in what the agent said, to
12 ms, for it fades. The load that was there is printed.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from harness import WATCH_PLAYER, console, figure, heard_frames, load, percentile
from in_kernel import RATE, noise

from patter_nb.audio.resampling import resample

SLAMS, BLOCKED_SLAMS, EVERY_S, AHEAD_S = 20, 12, 2.0, 6.0
SILENT_MS, RESUMES_MS = 150, 700
LOUD, QUIET = 1500, 30
"""-27 dB of full scale in what comes in, where only the slam is; -61 dB in what goes out, which is noise of -24 dB."""
SERVE = """
voice = NoiseTTS({seconds})
parts = dict(stt=ScriptedSTT([]), vad=RecordedVAD.speaking(), tts=voice)
session = await Patter().serve(Patter().agent(llm=ScriptedLLM([voice.text]), **parts))
"""


@dataclass(frozen=True, slots=True)
class Pause:
    """One slam: the samples of the context at which it came, the output fell silent, and went on."""

    slam: int
    silent: int
    resumed: int


def slam(rate: int = 48_000) -> tuple[Any, int]:
    """A fifth of a second that dies away, and its rate."""
    samples = np.arange(rate // 5)
    return (20_000 * np.exp(-samples / 1500) * np.random.default_rng(1).uniform(-1, 1, len(samples))).astype(np.int16), rate


def slams_in(heard: Any, rows: Any, rate: int) -> list[int]:
    """The context's samples at which it gets loud in `heard`, of whose messages `rows` tell when they were complete."""
    loud = np.flatnonzero(np.abs(heard.astype(np.int32)) > LOUD)
    firsts = loud[np.diff(loud, prepend=-16_000) > 8_000]
    return [round(rows[at // 640, 2] + 64 - (640 - at % 640) * rate / 16_000) for at in firsts]


def pause_after(out: Any, at: int, rate: int) -> tuple[int, int] | None:
    """The first silence of 20 ms in `out` that begins within a second after `at`, and its end."""
    step = rate // 1000
    part = out[at : at + 2 * rate]
    quiet = np.abs(part[: len(part) // step * step].astype(np.int32)).reshape(-1, step).max(axis=1) <= QUIET
    runs = np.convolve(quiet, np.ones(20), "valid")
    starts = np.flatnonzero(runs == 20)
    if not len(starts) or starts[0] > 1000:
        return None
    start = int(starts[0])
    over = np.flatnonzero(~quiet[start:])
    return (at + start * step, at + (start + int(over[0])) * step) if len(over) else None


def skipped_ms(out: Any, pause: tuple[int, int], original: Any, rate: int) -> float:
    """How much of `original` was left out over a pause (below 0: said twice), by where the sound before and after it is found there."""
    length, apart = rate // 20, rate // 100
    before, after = pause[0] - apart - length, pause[1] + apart
    places = [_place(out[start : start + length], original) for start in (before, after)]
    played = (after - before) - (pause[1] - pause[0])
    return 1000 * (places[1] - places[0] - played) / rate


def _place(part: Any, original: Any) -> int:
    size = 1 << (len(original) + len(part)).bit_length()
    spectrum = np.fft.rfft(original, size) * np.conj(np.fft.rfft(part.astype(np.float32), size))
    return int(np.argmax(np.fft.irfft(spectrum, size)[: len(original)]))


def tell(name: str, slams: list[int], pauses: list[Pause], rate: int) -> None:
    figure(f"slams that paused the agent, {name}", f"{len(pauses)} of {len(slams)}", "all")
    if not pauses:
        return
    silent = [1000 * (pause.silent - pause.slam) / rate for pause in pauses]
    resumed = [1000 * (pause.resumed - pause.silent) / rate for pause in pauses]
    told = f"p95 {percentile(silent, 95):.0f} ms (p50 {percentile(silent, 50):.0f}, max {max(silent):.0f} ms; {load()})"
    figure(f"from the first loud sample to silence, {name}", told, f"{SILENT_MS} ms")
    figure(f"silent until it goes on, {name}", f"at most {max(resumed):.0f} ms (p50 {percentile(resumed, 50):.0f} ms)", f"{RESUMES_MS} ms")


def lost_samples(moves: list[dict[str, Any]]) -> tuple[int, int]:
    """Samples of the output axis between the place of each pause and where playback went on; and how many pauses there were."""
    lost, paused = [], None
    for move in moves:
        if move["kind"] == "paused":
            paused = move["position"]
        elif paused is not None:
            lost.append(abs(move["position"] - paused))
            paused = None
    return sum(lost), len(lost)


async def main() -> None:
    slams = int(sys.argv[1]) if len(sys.argv) > 1 else SLAMS
    blocked = min(slams, BLOCKED_SLAMS)
    print(f"before: {load()}")
    recording = [AHEAD_S, *[part for _ in range(slams + blocked) for part in (slam(), EVERY_S - 0.2)], 5.0]
    seconds = AHEAD_S + (slams + blocked) * (EVERY_S + 0.7)
    block_at, block_s = AHEAD_S + slams * EVERY_S - 1, blocked * EVERY_S
    async with console(SERVE.format(seconds=seconds), "session", "arrivals = Arrivals(session)", microphone=recording) as page:

        async def spoken(until_s: float) -> None:
            while await page.value("len(session.audio.heard) / 16_000") < until_s:  # noqa: ASYNC110  # the kernel is another process
                await asyncio.sleep(0.2)

        await page.page.get_by_role("button", name="Talk").click()
        await page.js(WATCH_PLAYER)
        await page.execute("asking = asyncio.ensure_future(session.ask('go on'))")
        await spoken(block_at)
        blocked_from = await page.value("arrivals.rows[-1][2]")
        await page.execute(f"time.sleep({block_s})")
        await spoken(block_at + block_s + 3)
        rows = np.array(await page.value("arrivals.rows"), float)
        heard = np.frombuffer(await page.value("np.asarray(session.audio.heard).tobytes()"), "<i2")
        rate, first, out = await heard_frames(page)
        moves = await page.js("() => __player.filter(({kind}) => kind !== 'played')")
    slammed = slams_in(heard, rows, rate)
    found = [(at, pause_after(out, at - first, rate)) for at in slammed]
    pauses = [Pause(at, pause[0] + first, pause[1] + first) for at, pause in found if pause is not None]
    blocked_to = blocked_from + block_s * rate
    for name, inside in (("kernel free", False), ("kernel blocked", True)):
        ours = [at for at in slammed if (blocked_from < at < blocked_to - rate) is inside]
        tell(name, ours, [pause for pause in pauses if pause.slam in ours], rate)
    figure("samples lost, by the player's positions", "{} in {} pauses".format(*lost_samples(moves)), "0")
    original = resample(noise(round(seconds * RATE)), RATE, rate).astype(np.float32)
    skipped = [skipped_ms(out, (pause.silent - first, pause.resumed - first), original, rate) for pause in pauses]
    figure(
        "sound lost (below 0: said twice), by the sound itself", f"{min(skipped):.0f} to {max(skipped):.0f} ms a pause", "within 12 ms of 0"
    )


if __name__ == "__main__":
    asyncio.run(main())
