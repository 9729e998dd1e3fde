"""The clock of a page against the session's: what its stamps of captured and played sound mean here.

Two clocks that are read on both ends of a line bound each other: nothing arrives before it was sent. What the page sends bounds their
difference from above, what it is sent and answers from below, and the truth is taken to lie in the middle (as RFC 5905 does), of the
quickest messages of the last minutes only, since two clocks do not run alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

__all__ = ["PageClock"]

WINDOW_MS: Final = 60_000.0
"""Clocks of computers drift apart by up to a few ms in this time; every message of two such windows counts."""


@dataclass(slots=True)
class _Window:
    """The bounds that the messages since `since_ms` set."""

    since_ms: float
    most_ms: float = math.inf
    least_ms: float = -math.inf


class PageClock:
    """What has to be added to a stamp of the page, in ms, to have it in the session's time.

    >>> clock = PageClock()
    >>> clock.heard(1000.0, 5012.0)  # sent by the page at its 1000, here at our 5012
    >>> clock.told(5020.0, 1026.0)  # sent from here at our 5020, there at its 1026
    >>> clock.apart_ms, clock.here(1100.0)
    (4003.0, 5103.0)
    """

    def __init__(self) -> None:
        self._windows: list[_Window] = []
        self._half_ms = 0.0

    def heard(self, sent_ms: float, arrived_ms: float) -> None:
        """A message that the page sent at `sent_ms` of its clock arrived at `arrived_ms` of ours."""
        if not self._windows or arrived_ms - self._windows[-1].since_ms > WINDOW_MS:
            self._windows = [*self._windows[-1:], _Window(arrived_ms)]
        self._windows[-1].most_ms = min(self._windows[-1].most_ms, arrived_ms - sent_ms)

    def told(self, said_ms: float, received_ms: float) -> None:
        """A message that was sent to the page at `said_ms` of our clock arrived there at `received_ms` of its own."""
        if not self._windows:
            self._windows = [_Window(said_ms)]
        self._windows[-1].least_ms = max(self._windows[-1].least_ms, said_ms - received_ms)

    @property
    def apart_ms(self) -> float:
        """Ours less the page's. As long as nothing was heard of it, 0."""
        most = min((window.most_ms for window in self._windows), default=math.inf)
        least = max((window.least_ms for window in self._windows), default=-math.inf)
        if math.isinf(most):
            return 0.0 if math.isinf(least) else least
        if not math.isinf(least):
            self._half_ms = max(0.0, most - least) / 2
        return most - self._half_ms

    def here(self, page_ms: float) -> float:
        """A stamp of the page's clock in ours."""
        return page_ms + self.apart_ms
