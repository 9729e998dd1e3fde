"""What a session asks of an engine, one thing after the other: an engine says one thing at a time, and refuses to be asked meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from patter_nb.audio.resampling import Resampler
from patter_nb.engines.base import Engine
from patter_nb.llm.base import Message
from patter_nb.pipeline.guarding import Guard
from patter_nb.pipeline.sentences import SentenceState

__all__ = ["Request", "Requests"]


@dataclass(slots=True, eq=False)
class Request:
    """An answer of the engine that the session wants: to request `round`, or (`piece`) one that says a piece.

    `tell` asks the engine for it; None where it answers unasked. `before` is what was said before it, for an engine that knows nothing yet;
    None where that is for the session to say. `is_told`: the engine has really been asked for it.
    """

    epoch: int
    turn: int
    round: int = 0
    piece: int | None = None
    tell: Callable[[Engine], Awaitable[None]] | None = None
    before: tuple[Message, ...] | None = None
    is_told: bool = False
    resampler: Resampler | None = None
    draft: SentenceState = field(default_factory=SentenceState)
    guard: Guard = field(default_factory=Guard)


class Requests:
    """Which request is told when, and which answer of the engine's belongs to which.

    The next is told when the engine has ended its answer to the one before, also where nobody wants that any more.
    """

    def __init__(self) -> None:
        self._wanted: deque[Request] = deque()
        self._told: Request | None = None
        self._running: dict[str, Request | None] = {}
        self._unwanted: set[Request] = set()
        self._asked: dict[str, Request] = {}
        self._calls: set[str] = set()

    @property
    def busy(self) -> bool:
        """Whether something that is wanted is not complete."""
        return any(request not in self._unwanted for request in self._open())

    @property
    def answering(self) -> bool:
        """Whether an answer has begun, and not ended."""
        return bool(self._running)

    @property
    def front(self) -> Request | None:
        """What will be told next."""
        return self._wanted[0] if self._wanted else None

    def _open(self) -> list[Request]:
        running = [request for request in self._running.values() if request is not None]
        return [*running, *([self._told] if self._told is not None else ()), *self._wanted]

    def want(self, request: Request) -> None:
        """Ask for one more."""
        self._wanted.append(request)

    def next(self) -> Request | None:
        """What is to be told to the engine now, which counts as told."""
        if self._running or self._told is not None or not self._wanted:
            return None
        self._told = self._wanted.popleft()
        return self._told

    def begin(self, id: str, *, asked: bool) -> Request | None:
        """Answer `id` begins; gives what it answers, if that is still wanted."""
        if asked and self._told is not None and not self._told.is_told:
            return None  # to something that was forgotten: what the engine will be told next breaks it off
        if asked:
            request, self._told = self._told, None
            if request is not None:
                self._asked[id] = request
            self._running[id] = None if request in self._unwanted else request
        return self._running.setdefault(id, None)

    def follow(self, id: str, request: Request) -> None:
        """Answer `id`, which nobody asked for, is this request's."""
        self._running[id] = self._asked[id] = request

    def of(self, id: str) -> Request | None:
        """What answer `id` answers, if that is still wanted."""
        return self._running.get(id)

    def payer(self, id: str) -> Request | None:
        """What answer `id` was begun for, also where that is not wanted any more: it is charged for all the same."""
        return self._asked.get(id)

    def made(self, call: str) -> None:
        """The engine makes this call, in the conversation that runs."""
        self._calls.add(call)

    def has_made(self, results: Iterable[tuple[str, str]]) -> bool:
        """Whether the calls with these results were made in the conversation that runs: an engine knows of no others."""
        return all(call in self._calls for call, _ in results)

    def end(self, id: str) -> Request | None:
        """Answer `id` is complete."""
        self._asked.pop(id, None)
        return self._running.pop(id, None)

    def refuse(self) -> Request | None:
        """The engine will not answer what it was told last; gives that, if it is still wanted."""
        told, self._told = self._told, None
        return None if told in self._unwanted else told

    def give_up(self) -> Callable[[], bool] | None:
        """Nothing of all this is wanted any more. What was not told never will be; what was told still comes.

        Gives a function where something comes: it forgets whatever has not come when it is called, and tells whether there was such.
        """
        self._wanted.clear()
        self._unwanted = {self._told} if self._told is not None else set()
        for id in self._running:
            self._running[id] = None
        return self._forgetting(self._told, set(self._running)) if self._running or self._told is not None else None

    def _forgetting(self, told: Request | None, ids: set[str]) -> Callable[[], bool]:
        def forget() -> bool:
            late = self._running.keys() & ids
            for id in late:
                del self._running[id]
            if told is None or self._told is not told:
                return bool(late)
            self._told = None
            return True

        return forget

    def lose(self) -> list[Request]:
        """The engine has lost its conversation: what it was told will be told again. Gives what it was in the middle of, which is lost."""
        broken = [request for request in self._running.values() if request is not None]
        if self._told is not None and self._told not in self._unwanted:
            self._wanted.appendleft(self._told)
        self._told, self._running, self._asked, self._calls = None, {}, {}, set()
        return broken

    def drop(self) -> list[Request]:
        """The engine is gone. Gives what will not be answered."""
        dropped = [request for request in self._open() if request not in self._unwanted]
        self._wanted.clear()
        self._told, self._running, self._asked, self._calls = None, {}, {}, set()
        return dropped
