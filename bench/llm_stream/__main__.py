"""What a streamed answer costs: python bench/llm_stream [MEASURE...]

Ours against the vendors' official clients and a floor (httpx, its lines, json.loads, a dict for each chunk), in three formats, against one
local server in a process of its own that replays events of the vendors' shape; "kept" is ours as a session keeps what went over the wire.
Each cell is a process of its own. Measures: cpu, latency, load, lag, cancel, body (how a large request to Cerebras is packed), start (a
first request in a new interpreter); without any, all.
"""

from __future__ import annotations

import inspect
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
FORMATS = ("openai", "anthropic", "google")
PEERS = ("ours", "floor", "sdk")
BODY_BYTES = 100_000
KEYS = {name: "key" for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")}
START = """
import asyncio, time
from patter_nb import OpenAILLM
async def main():
    llm = OpenAILLM("key", base_url="http://127.0.0.1:{port}/20/0/v1")
    async for chunk in llm.stream([{{"role": "user", "content": "Hi"}}]):
        break
asyncio.run(main())
"""


@contextmanager
def server() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, HERE / "server.py"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def cell(peer: str, form: str, measure: str, port: str) -> dict[str, float]:
    command = [sys.executable, str(HERE / "measures.py"), peer, form, measure, port]
    ran = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **KEYS}, check=False)
    if ran.returncode:
        raise SystemExit(ran.stderr)
    told: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return told


def figure(name: str, value: str, target: str = "") -> None:
    print(f"{name:54}{value:40}{f'(target: {target})' if target else ''}", flush=True)


def ratios(port: str, measure: str, figures: dict[str, str], targets: dict[str, str], peers: Sequence[str] = PEERS) -> None:
    for form in FORMATS:
        found = {peer: cell(peer, form, measure, port) for peer in peers}
        for name, what in figures.items():
            least = found["floor"][name]
            told = ", ".join(f"{peer} {found[peer][name]:.2f} ({found[peer][name] / least:.2f})" for peer in peers)
            figure(f"{form}: {what} (x floor)", told, targets.get(name, ""))


def cpu(port: str) -> None:
    ratios(port, "cpu", {"us": "CPU for a chunk, us"}, {"us": "at most 0.5 of the floor"}, ("ours", "kept", *PEERS[1:]))


def latency(port: str) -> None:
    figures = {"first_ms": "first chunk, warm, ms", "round_ms": "a tool's round trip, ms"}
    ratios(port, "latency", figures, dict.fromkeys(figures, "at most the floor's"))


def load(port: str) -> None:
    for form in FORMATS:
        for peer in ("ours", "floor"):
            told = cell(peer, form, "load", port)
            value = f"{told['core']:.0%} of a core, p50 {told['p50_ms']:.2f}, p95 {told['p95_ms']:.2f} ms"
            figure(f"{form}: 50 answers of 100 chunks/s, {peer}", value, "30 %, p95 3 ms" if peer == "ours" else "")


def lag(port: str) -> None:
    for form in FORMATS:
        for peer in PEERS:
            told = cell(peer, form, "lag", port)
            figure(f"{form}: loop lag, 5 of 3,000 chunks/s, {peer}", f"p99 {told['p99_ms']:.1f} ms", "10 ms" if peer == "ours" else "")


def cancel(port: str) -> None:
    for form in FORMATS:
        for peer in PEERS:
            told = cell(peer, form, "cancel", port)
            value = f"at most {told['worst_ms']:.1f} ms, {told['leaked']:.0f} of 20 leaked"
            figure(f"{form}: socket closed after aclose(), {peer}", value, "5 ms, none" if peer == "ours" else "")


def body(port: str) -> None:
    from patter_nb import CerebrasLLM

    words = " ".join(inspect.getdoc(function) or "" for _, function in inspect.getmembers(subprocess) + inspect.getmembers(os)).split()
    sizes = itertools.cycle((9, 31, 14, 52, 22))
    messages: list[dict[str, str]] = []
    while sum(len(message["content"]) + 40 for message in messages) < BODY_BYTES:
        size = next(sizes)
        messages.append({"role": ("user", "assistant")[len(messages) % 2], "content": " ".join(words[:size])})
        words = words[size:]
    llm = CerebrasLLM("key")
    encoded = llm.encode(messages, None)
    plain = len(json.dumps(encoded))
    best = float("inf")
    for _ in range(50):
        began = time.perf_counter()
        packed, _ = llm.pack(encoded)
        best = min(best, time.perf_counter() - began)
    began = time.perf_counter()
    json.dumps(encoded)
    alone = time.perf_counter() - began
    value = f"{best * 1000:.2f} ms, {len(packed) / plain:.2f} of {plain:,} bytes (json.dumps alone {alone * 1000:.2f} ms)"
    figure("cerebras: a large body packed", value, "1 ms, 0.3")


def start(port: str) -> None:
    def took(code: str) -> float:
        best = float("inf")
        for _ in range(7):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            best = min(best, time.perf_counter() - began)
        return best * 1000

    bare, ours = took("pass"), took(START.format(port=port))
    figure("a first request in a new interpreter", f"{ours:.0f} ms, {ours - bare:.0f} above a bare one ({bare:.0f})", "400 ms above")


MEASURES = {"cpu": cpu, "latency": latency, "load": load, "lag": lag, "cancel": cancel, "body": body, "start": start}

if __name__ == "__main__":
    wanted = sys.argv[1:] or list(MEASURES)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    with server() as port:
        for name in wanted:
            MEASURES[name](port)
    print(f"after: load {os.getloadavg()[0]:.1f}", flush=True)
