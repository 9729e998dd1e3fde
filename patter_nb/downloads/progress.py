"""How a download shows itself: a line for what begins and ends, and on a terminal a bar between them."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any, Protocol

_ROUNDED_FROM = 10_000_000

__all__ = ["Progress", "Quiet", "TerminalProgress", "megabytes"]


class Progress(Protocol):
    """What a download tells while it runs."""

    def say(self, line: str) -> None: ...

    def advance(self, done: int, total: int) -> None:
        """`done` of `total` bytes of the file under way are here."""
        ...


class Quiet:
    """Tells nothing; what goes wrong is raised all the same."""

    def say(self, line: str) -> None:
        pass

    def advance(self, done: int, total: int) -> None:
        pass


class TerminalProgress:
    """Lines on stdout, and on a terminal a bar: tqdm's where it is installed, else a percentage."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._percent = -1

    def say(self, line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def advance(self, done: int, total: int) -> None:
        if not sys.stdout.isatty() or total <= 0:
            return
        if importlib.util.find_spec("tqdm"):
            self._advance_bar(done, total)
        elif (percent := 100 * done // total) != self._percent:
            self._percent = percent
            sys.stdout.write(f"\r  {percent:3d} % of {megabytes(total)}" + ("\n" if done >= total else ""))
            sys.stdout.flush()

    def _advance_bar(self, done: int, total: int) -> None:
        if self._bar is None or self._bar.total != total:
            self._bar = importlib.import_module("tqdm").tqdm(total=total, unit="B", unit_scale=True, leave=False, file=sys.stdout)
        self._bar.update(done - self._bar.n)
        if done >= total:
            self._bar.close()
            self._bar = None


def megabytes(size: int) -> str:
    """
    >>> megabytes(98_362_432)
    '98 MB'
    >>> megabytes(1_245_151)
    '1.2 MB'
    """
    return f"{size / 1e6:.{1 if size < _ROUNDED_FROM else 0}f} MB"
