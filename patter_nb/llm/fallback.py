"""Several language models in the place of one: where the first fails before its first word, the next one answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from typing import Final

from patter_nb.clock import Clock, SystemClock
from patter_nb.errors import AllProvidersFailed, PatterConfigError, PatterError
from patter_nb.llm.base import LLMChunk, LLMProvider, Message, ToolSpec, as_chunk, name_of, open_stream, warm
from patter_nb.tasks import as_patter_error, closing

__all__ = ["LLM", "FallbackLLM"]

logger = logging.getLogger("patter_nb")

REST_MS: Final = 30_000.0


class FallbackLLM:
    """Asks the first of `llms` that works, in their order. One that failed is left in peace for `rest_ms`, unless all have failed.

    What is counted and paid is booked to the one that answered, which is named also where it counts nothing. Nothing is asked again once
    an answer has begun: its failure is raised.
    Raises `PatterConfigError` for no models at all; while it streams, `AllProvidersFailed` with the error of each.
    """

    provider: Final = "fallback"

    def __init__(self, llms: Iterable[LLMProvider], *, rest_ms: float = REST_MS, clock: Clock | None = None) -> None:
        self.llms: tuple[LLMProvider, ...] = tuple(llms)
        if not self.llms:
            raise PatterConfigError("FallbackLLM has no models.", hint="For example FallbackLLM([OpenAILLM(), AnthropicLLM()]).")
        for llm in self.llms:
            if isinstance(llm, type) or not callable(getattr(llm, "stream", None)):
                raise PatterConfigError(f"FallbackLLM was given {llm!r:.80}, no language model.", hint="Pass instances: OpenAILLM().")
        self.rest_ms = rest_ms
        self._clock: Clock = SystemClock() if clock is None else clock
        self._rests_until = [0.0] * len(self.llms)

    @property
    def model(self) -> str:
        """The names of all, in order."""
        return ", ".join(" ".join(name for name in name_of(llm) if name) for llm in self.llms)

    @property
    def costs(self) -> bool:
        return any(bool(getattr(llm, "costs", True)) for llm in self.llms)  # a provider of one's own may not say; then it may cost

    @property
    def repeatable(self) -> bool:
        """Whether all of them may be asked for nothing."""
        return all(getattr(llm, "repeatable", True) for llm in self.llms)

    async def stream(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] | None = None,
        *,
        cancel_event: asyncio.Event | None = None,
        call_id: str | None = None,
    ) -> AsyncIterator[LLMChunk]:
        """The answer of the first that gives one."""
        errors: list[PatterError] = []
        for place in self._order():
            llm, begun, counted = self.llms[place], False, False
            provider, model = name_of(llm)
            try:
                async with closing(open_stream(llm, messages, tools, cancel_event=cancel_event, call_id=call_id)) as stream:
                    async for value in stream:
                        chunk = as_chunk(value, provider=provider)
                        begun, counted = True, counted or chunk.type == "usage"
                        if chunk.type == "done" and not counted:
                            yield LLMChunk("usage", provider=provider, model=model)
                        yield _booked(chunk, provider, model)
            except Exception as error:  # a provider of one's own may raise anything; it is kept, and raised with the others
                if begun:
                    raise
                errors.append(as_patter_error("llm", error))
                self._rests_until[place] = self._clock.now_ms() + self.rest_ms
                logger.warning("%s failed, the next one is asked: %s", provider, error)
            else:
                self._rests_until[place] = 0.0
                return
        told = "; ".join(error.message for error in errors)
        raise AllProvidersFailed(f"None of {len(errors)} language models answered. {told}", errors, hint="See its errors.")

    def _order(self) -> Sequence[int]:
        """Who is asked: those that work, then those that rest."""
        now_ms = self._clock.now_ms()
        return sorted(range(len(self.llms)), key=lambda place: self._rests_until[place] > now_ms)

    async def warmup(self, tools: Sequence[ToolSpec] = ()) -> None:
        """Warm up all of them; one that cannot is asked later all the same."""
        for outcome in await asyncio.gather(*(warm(llm, tools) for llm in self.llms), return_exceptions=True):
            if isinstance(outcome, Exception):
                logger.warning("a language model could not be warmed up: %s", outcome)

    async def aclose(self) -> None:
        """Close those that can be closed."""
        for llm in self.llms:
            aclose = getattr(llm, "aclose", None)  # optional
            if aclose is not None:
                await aclose()


def _booked(chunk: LLMChunk, provider: str, model: str | None) -> LLMChunk:
    """A count of tokens names who answered."""
    if chunk.type != "usage" or chunk.provider is not None:
        return chunk
    return replace(chunk, provider=provider, model=model)


LLM = FallbackLLM
