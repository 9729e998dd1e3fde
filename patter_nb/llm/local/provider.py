"""`LocalLLM`: the language model that needs no key and no network."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import ClassVar, Final

from patter_nb.downloads.needs import Needs
from patter_nb.errors import PatterConfigError
from patter_nb.inference import NativeModel, inference_threads
from patter_nb.llm.base import LLMChunk, Message, ToolSpec
from patter_nb.llm.local.choosing import Choosing
from patter_nb.llm.local.deciding import Deciding
from patter_nb.llm.local.encoder import Encoder
from patter_nb.llm.local.files import NEEDS, encoder_files, model_file
from patter_nb.llm.local.runtime import Runtime
from patter_nb.llm.local.strategy import Strategy


class LocalLLM:
    """A language model on this machine, through llama.cpp: no key, no cost, nothing leaves the machine.

    `model` is "smollm2" (SmolLM2-135M, fetched by `patter-nb download`), the path of a GGUF file, or "hf:owner/repo/file.gguf", which is
    fetched on first use. `threads` defaults to all cores but one.

    A model whose chat template takes tools decides by itself. The default is too small for that: a tool is chosen by the likeness of the
    request to the tools' names, descriptions and examples, the model fills its arguments with what was said and nothing else, and results
    are told by templates. Without tools it chats, as the toy it is.

    Raises `ModelNotFound` for a model that is missing or not the file it should be, and `MissingExtra` without the extra `local`, both
    when the model is loaded, which is at `warmup` or at the first answer.

    >>> LocalLLM()
    LocalLLM('smollm2')
    """

    provider: Final = "local"
    costs: Final = False
    needs: ClassVar[Needs] = NEEDS

    def __init__(self, model: str | Path = "smollm2", *, threads: int | None = None) -> None:
        if not isinstance(model, str | Path):
            raise PatterConfigError(f"LocalLLM takes a name or a path, not {model!r:.80}.", hint='For example LocalLLM("smollm2").')
        self.model = str(model)
        self._native = NativeModel("llm", lambda: _load(model, threads or inference_threads()))

    def __repr__(self) -> str:
        return f"LocalLLM({self.model!r})"

    async def warmup(self, tools: Sequence[ToolSpec] | None = None) -> None:
        """Load the model and compute ahead what every request with `tools` shares."""
        await self._native.run(lambda strategy: strategy.warm(tools or ()))

    async def stream(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] | None = None,
        *,
        cancel_event: asyncio.Event | None = None,
        call_id: str | None = None,
    ) -> AsyncIterator[LLMChunk]:
        """Answer `messages` as `LLMProvider` describes. Inference runs on one thread of its own, one answer after another."""
        loop = asyncio.get_running_loop()
        chunks: asyncio.Queue[LLMChunk | None] = asyncio.Queue()
        unwanted = threading.Event()

        def emit(chunk: LLMChunk) -> bool:
            if not unwanted.is_set():
                loop.call_soon_threadsafe(chunks.put_nowait, chunk)
            return unwanted.is_set()

        work = asyncio.ensure_future(self._native.run(lambda strategy: strategy.answer(messages, tools or (), emit)))
        work.add_done_callback(lambda _: chunks.put_nowait(None))
        try:
            while chunk := await _next(chunks, cancel_event):
                yield chunk
                if chunk.type == "done":
                    return
            await work
        finally:
            unwanted.set()
            work.cancel()

    async def aclose(self) -> None:
        """Give the model's memory back. The next answer loads it again."""
        await self._native.aclose()


def _load(model: str | Path, threads: int) -> Strategy:
    runtime = Runtime(model_file(model), threads=threads)
    if runtime.handles_tools:
        return Deciding(runtime, str(model))
    return Choosing(runtime, Encoder(*encoder_files()), str(model))


async def _next(chunks: asyncio.Queue[LLMChunk | None], cancel_event: asyncio.Event | None) -> LLMChunk | None:
    """The next chunk; the end, None, once the work is over; done(cancelled) as soon as `cancel_event` is set."""
    if cancel_event is None:
        return await chunks.get()
    arrival, cancelled = asyncio.ensure_future(chunks.get()), asyncio.ensure_future(cancel_event.wait())
    try:
        await asyncio.wait((arrival, cancelled), return_when=asyncio.FIRST_COMPLETED)
        return LLMChunk("done", finish_reason="cancelled") if cancel_event.is_set() else arrival.result()
    finally:
        arrival.cancel()
        cancelled.cancel()
