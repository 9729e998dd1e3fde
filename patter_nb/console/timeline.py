"""A session's timeline on pages: all of it for who opens it, then what is new ten times a second, and more detail where somebody looks.

A long session is read in small steps, so that the loop in which it speaks and hears is not kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from patter_nb.console.keepsake import Keepsake
from patter_nb.console.widgets import KeptView
from patter_nb.display.moment import moment_lines
from patter_nb.errors import PatterConfigError
from patter_nb.session import Session
from patter_nb.timeline.lanes import Item
from patter_nb.timeline.peaks import FACTOR, LEVELS, Range

__all__ = ["TimelineDesk", "TimelineView"]

TELL_EVERY_S: Final = 0.1
BUDGET_S: Final = 0.003
"""So long the log is read on before the loop may do something else."""
TILE: Final = 4096
"""Buckets of a tile."""
LONGEST_SOUND_MS: Final = 30_000.0
READ_AT_ONCE: Final = 10_000
"""So many events and frames are read at once; more, which are minutes, a little at a time."""
_TILES_AT_ONCE: Final = 16

Send: TypeAlias = Callable[[dict[str, Any], list[bytes]], None]
Row: TypeAlias = list[Any]


class TimelineView(KeptView):
    """The live timeline; where it is displayed, a static picture that a saved notebook keeps lies beside it, hidden while it is live."""


class TimelineDesk:
    """Answers the pages that show the timeline of `session`, in the session's loop. `send` takes a message and its buffers."""

    def __init__(self, session: Session, send: Send) -> None:
        self._session = session
        self._timeline = session.timeline
        self._send = send
        self._views: dict[str, str] = {}
        self._waiting: list[str] = []
        self._seq = -1
        self._told_ms = -1.0
        self._chunks = 0
        self._task: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self.keepsake = Keepsake(lambda: self._timeline)

    def view(self, ears: object, screen: object) -> TimelineView:
        """A widget that shows it."""
        return TimelineView(self._show_kept, part="timeline", keepsake=self.keepsake.id, ears=ears, screen=screen)

    def _show_kept(self) -> None:
        """The static picture, here in the running cell; of a session that has not been read for long in a moment."""
        soon = self._timeline.unread > READ_AT_ONCE and not self._session.loop.is_closed()
        self.keepsake.show(soon=soon)
        if soon:
            self._session.in_loop(self.keep)

    # --- from the page

    def take(self, kind: str, page: str, content: Mapping[str, Any]) -> None:
        """Take in a message about the timeline. Raises `ValueError` for one that is none."""
        view = str(content["view"])
        match kind:
            case "timeline_open":
                self._views[view] = page
                self._waiting.append(view)
                self._go_on()
            case "timeline_close":
                self._views.pop(view, None)
            case "timeline_tiles":
                self._send_tiles(view, [(int(level), int(tile)) for level, tile in content["wanted"]])
            case "timeline_hear":
                self._send_sound(view, float(content["from"]), float(content["until"]), int(content["ask"]))
            case "timeline_at":
                self._send_moment(view, float(content["t"]))
            case _:
                raise ValueError(f"a message of an unknown kind, {kind!r:.80}")

    def left(self, page: str) -> None:
        """The page is gone, with all that it showed."""
        self._views = {view: where for view, where in self._views.items() if where != page}

    def keep(self) -> None:
        """A turn is over: it is read now, so that little is left for when it is looked at, and what a notebook keeps is written anew."""
        if not self._session.is_over and (self._keeping is None or self._keeping.done()):
            self._keeping = self._session.loop.create_task(self._keep(), name=f"keeping the timeline of session {self._session.name}")

    async def _keep(self) -> None:
        await self._read()
        self.keepsake.update()

    # --- to the page

    def _go_on(self) -> None:
        if self._task is None or self._task.done():
            self._task = self._session.loop.create_task(self._follow(), name=f"timeline of session {self._session.name}")

    def end(self) -> None:
        """The session is over, and is told of once more."""
        for task in (self._task, self._keeping):
            if task is not None:
                task.cancel()
        self._timeline.advance()
        self.keepsake.update()
        if self._views:
            self._tell()

    async def _follow(self) -> None:
        """Read on and tell, as long as somebody looks."""
        while self._views:
            await self._read()
            self._tell()
            if self._session.is_over:
                return
            await asyncio.sleep(TELL_EVERY_S)

    async def _read(self) -> None:
        """Read the log on. Whoever has just opened it is told of the events before the sounds are drawn."""
        clock = self._session.transport.clock
        began = told = clock.wall_s()
        for _ in self._timeline.steps():
            now = clock.wall_s()
            if now - began < BUDGET_S:
                continue
            if self._timeline.has_read_events and now - told >= TELL_EVERY_S:
                self._tell()
                told = now
            await asyncio.sleep(0)
            began = clock.wall_s()

    def _tell(self) -> None:
        items = self._timeline.drain()
        changed = self._timeline.peaks.drain()
        chunks = self._timeline.lanes_now.chunks[self._chunks :]
        end_ms = round(self._timeline.end_ms, 1)
        over = self._session.is_over
        known = [view for view in self._views if view not in self._waiting]
        if items or changed or chunks or end_ms != self._told_ms or over:
            self._seq += 1
            self._chunks += len(chunks)
            self._told_ms = end_ms
            if known:
                self._send_more(items, changed, np.array(chunks, "<u4"), end_ms)
        for view in self._waiting:
            self._send_whole(view, end_ms)
        self._waiting.clear()

    def _send_more(self, items: Sequence[tuple[str, int]], changed: Sequence[Range], chunks: Any, end_ms: float) -> None:
        lanes = self._timeline.lanes_now.items
        rows = [[lane, place, _row(lanes[lane][place])] for lane, place in items]
        ranges, stale, grids = [], [], []
        for level in range(len(LEVELS) if changed else 0):
            if sum(stop - first for first, stop in changed) <= TILE:
                ranges += [[level, first] for first, _ in changed]
                grids += [self._timeline.peaks.grid(level, first, stop).tobytes() for first, stop in changed]
            else:  # whoever sees it asks for it
                stale += [[level, tile] for tile in sorted({at // TILE for first, stop in changed for at in (first, stop - 1)})]
            changed = [(first // FACTOR, -(-stop // FACTOR)) for first, stop in changed]
        told = {"seq": self._seq, "end": end_ms, "live": not self._session.is_over, "items": rows, "ranges": ranges, "stale": stale}
        self._send({"kind": "timeline_more", **told}, [chunks.tobytes(), *grids])

    def _send_whole(self, view: str, end_ms: float) -> None:
        lanes = {lane: [_row(item) for item in items] for lane, items in self._timeline.lanes_now.items.items()}
        chunks = np.array(self._timeline.lanes_now.chunks[: self._chunks], "<u4")
        level = next((level for level, bucket in enumerate(LEVELS) if end_ms / bucket <= TILE), len(LEVELS) - 1)
        tiles = [[level, tile] for tile in range(int(end_ms / LEVELS[level]) // TILE + 1)]
        shape = {"levels": list(LEVELS), "tile": TILE, "tiles": tiles}
        told = {"seq": self._seq, "end": end_ms, "live": not self._session.is_over, "lanes": lanes, **shape}
        self._send({"kind": "timeline_whole", "to": view, **told}, [chunks.tobytes(), *(self._grid(*place) for place in tiles)])

    def _send_tiles(self, view: str, wanted: Sequence[tuple[int, int]]) -> None:
        tiles = [[level, tile] for level, tile in wanted[:_TILES_AT_ONCE] if 0 <= level < len(LEVELS) and tile >= 0]
        self._send({"kind": "timeline_tiles", "to": view, "tiles": tiles}, [self._grid(level, tile) for level, tile in tiles])

    def _grid(self, level: int, tile: int) -> bytes:
        return self._timeline.peaks.grid(level, tile * TILE, (tile + 1) * TILE).tobytes()

    def _send_sound(self, view: str, from_ms: float, until_ms: float, ask: int) -> None:
        pcm, rate = self._timeline.sound(from_ms, min(until_ms, from_ms + LONGEST_SOUND_MS))
        self._send({"kind": "timeline_sound", "to": view, "from": from_ms, "rate": rate, "ask": ask}, [pcm.tobytes()])

    def _send_moment(self, view: str, t_ms: float) -> None:
        try:
            moment = self._timeline.at(t_ms)
        except PatterConfigError:
            return  # the pointer is beyond what has happened
        lines = [[name, told[:400]] for name, told in moment_lines(moment)]
        self._send({"kind": "timeline_moment", "to": view, "t": t_ms, "lines": lines}, [])


def _row(item: Item) -> Row:
    """An item as the page reads it, without the fields at its end that say nothing."""
    row: Row = [round(item.at, 1), None if item.to is None else round(item.to, 1), item.text, item.kind, item.turn, item.value]
    while len(row) > 2 and row[-1] in (None, ""):
        row.pop()
    return row
