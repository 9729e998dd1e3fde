"""The text that a voice is to speak, as it comes: a failed attempt begins again from its start, and may not lose what had come by then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from patter_nb.errors import PatterConfigError
from patter_nb.pipeline.sentences import SentenceChunker, speakable
from patter_nb.tasks import closing

__all__ = ["Words", "by_sentences", "sentences"]

_END: Final = None


class Words:
    """A text, or an iterator of text that is asked for its next piece only when somebody wants it, and never twice.

    Raises `PatterConfigError` for what is neither; what the iterator raises travels on as it is.
    """

    def __init__(self, text: str | AsyncIterator[str]) -> None:
        if not isinstance(text, (str, AsyncIterator)):
            told = f"synthesize() was given {type(text).__name__}, not text."
            raise PatterConfigError(told, hint="Pass a str, or an async iterator of str.")
        self._came = [_encodable(text)] if isinstance(text, str) else []
        self._source = None if isinstance(text, str) else text
        self._asking: asyncio.Task[str | None] | None = None
        self.is_whole = isinstance(text, str)
        self.failure: BaseException | None = None
        """What the iterator raised: it is no failure of the vendor's."""

    async def begin(self) -> bool:
        """Wait for something that can be spoken; False when nothing of the kind comes."""
        said = ""
        async with closing(self.pieces()) as pieces:
            async for piece in pieces:
                said += piece
                if speakable(said):
                    return True
        return False

    async def pieces(self) -> AsyncIterator[str]:
        """The text from its start, to its end."""
        place = 0
        while place < len(self._came) or await self._more():
            yield self._came[place]
            place += 1

    async def _more(self) -> bool:
        """Whether another piece has come; giving up this wait loses none."""
        if self._source is None:
            return False
        if self._asking is None:
            self._asking = asyncio.ensure_future(_next(self._source))
        asking = self._asking
        await asyncio.wait((asking,))
        if asking is self._asking:
            self._asking = None
            self.failure = asking.exception()
            piece = asking.result()
            if piece is _END:
                self._source = None
            else:
                self._came.append(_encodable(piece))
        return self._source is not None

    async def aclose(self) -> None:
        """Ask for no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        if isinstance(self._source, AsyncGenerator):
            await self._source.aclose()


async def sentences(words: Words) -> AsyncIterator[str]:
    """The text by sentences, each when it is whole: for voices that speak a piece by itself, and would cut a word in two.

    A text that came as one stays one.
    """
    chunker = SentenceChunker()
    async with closing(words.pieces()) as pieces:
        async for piece in pieces:
            for sentence in [piece] if words.is_whole else chunker.push(piece):
                yield sentence
    for sentence in chunker.flush():
        yield sentence


async def by_sentences(words: Words, *, longest: int) -> AsyncIterator[Words]:
    """The same as texts to be asked for one by one, none of more than `longest` characters; what holds no word needs no voice."""
    async with closing(sentences(words)) as pieces:
        async for piece in pieces:
            whole = len(piece) <= longest
            for part in [piece] if whole else _cut(piece):
                if speakable(part):
                    yield Words(part)


def _cut(text: str) -> list[str]:
    chunker = SentenceChunker()
    return chunker.push(text) + chunker.flush()


async def _next(source: AsyncIterator[str]) -> str | None:
    return await anext(source, _END)


def _encodable(text: str) -> str:
    """The halves of a character, which no vendor's JSON has, put together or marked as lost."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
