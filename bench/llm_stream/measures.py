"""One measurement of one way to a vendor's format, in a process of its own: python measures.py PEER FORMAT MEASURE PORT prints JSON."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from typing import Any

from peers import ASKED, CALLED, PEERS, TOOL, Stream


async def count(stream: Stream, base: str) -> int:
    return sum([1 async for _ in stream(base, ASKED, None)])


async def cpu(stream: Stream, address: str) -> dict[str, float]:
    """Microseconds of this process' CPU for a chunk, of 2,000 that come at once: the best of 12 answers."""
    base, best = f"{address}/2000/0", float("inf")
    for _ in range(13):
        began = time.process_time()
        assert await count(stream, base) == 2000
        best = min(best, time.process_time() - began)
    return {"us": best / 2000 * 1e6}


async def latency(stream: Stream, address: str) -> dict[str, float]:
    """Milliseconds to the first chunk on a warm connection, and for a call and the answer after it: medians of 60."""
    base, firsts, rounds = f"{address}/20/0", [], []
    for _ in range(65):
        began = time.perf_counter()
        answer = stream(base, ASKED, None)
        await anext(answer)
        firsts.append(time.perf_counter() - began)
        async for _ in answer:
            pass
    for _ in range(65):
        began = time.perf_counter()
        call = [text async for text in stream(base, ASKED, [TOOL])]
        assert json.loads("".join(call)) == {"city": "Rome"}
        later = stream(base, CALLED, [TOOL])
        assert await anext(later)
        rounds.append(time.perf_counter() - began)
        async for _ in later:
            pass
    return {"first_ms": statistics.median(firsts[5:]) * 1000, "round_ms": statistics.median(rounds[5:]) * 1000}


async def load(stream: Stream, address: str) -> dict[str, float]:
    """50 answers at once of 100 chunks a second each, for 5 s: share of a core, and how late a chunk is in milliseconds."""
    late: list[float] = []

    async def listen() -> None:
        async for text in stream(f"{address}/500/100", ASKED, None):
            late.append(time.monotonic() - float(text))

    await count(stream, f"{address}/20/0")
    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(listen() for _ in range(50)))
    took, used = time.perf_counter() - began, time.process_time() - used
    late.sort()
    return {"core": used / took, "p50_ms": late[len(late) // 2] * 1000, "p95_ms": late[int(len(late) * 0.95)] * 1000}


async def lag(stream: Stream, address: str) -> dict[str, float]:
    """How late the loop comes back, p99 in milliseconds, while five answers of 3,000 chunks a second come."""
    late: list[float] = []

    async def watch() -> None:
        while True:
            due = time.perf_counter() + 0.002
            await asyncio.sleep(0.002)
            late.append(time.perf_counter() - due)

    await count(stream, f"{address}/20/0")
    watching = asyncio.ensure_future(watch())
    await asyncio.gather(*(count(stream, f"{address}/9000/3000") for _ in range(5)))
    watching.cancel()
    late.sort()
    return {"p99_ms": late[int(len(late) * 0.99)] * 1000}


async def cancel(stream: Stream, address: str) -> dict[str, float]:
    """From closing the iterator to the socket's close at the server, the slowest of 20 in milliseconds; how many stayed open for 3 s."""
    import httpx

    took, leaked = [], 0
    async with httpx.AsyncClient() as http:
        for _ in range(20):
            before = len((await http.get(f"{address}/closed")).json())
            answer: Any = stream(f"{address}/100000/200/watched", ASKED, None)
            for _ in range(5):
                await anext(answer)
            began = time.monotonic()
            await answer.aclose()
            for _ in range(60):
                closed = (await http.get(f"{address}/closed")).json()
                if len(closed) > before:
                    took.append(closed[-1] - began)
                    break
                await asyncio.sleep(0.05)
            else:
                leaked += 1
    return {"worst_ms": max(took, default=float("nan")) * 1000, "leaked": leaked}


MEASURES = {"cpu": cpu, "latency": latency, "load": load, "lag": lag, "cancel": cancel}

if __name__ == "__main__":
    peer, form, measure, port = sys.argv[1:]
    print(json.dumps(asyncio.run(MEASURES[measure](PEERS[peer](form), f"http://127.0.0.1:{port}"))))
