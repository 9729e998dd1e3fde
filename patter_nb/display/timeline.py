"""A timeline as a static picture: both waveforms, who spoke when, turns and what interrupted them. No script, and less than 100 kB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from patter_nb.display.figures import count, duration
from patter_nb.display.markup import Html, clean, foreign, join, left_out, line, tag
from patter_nb.timeline.lanes import Item
from patter_nb.timeline.peaks import LEVELS, Grid, Peaks
from patter_nb.timeline.timeline import Timeline

__all__ = ["timeline_page", "timeline_text"]

ROWS_AT_MOST: Final = 6
ROW_MS: Final = 60_000.0
"""A longer session is broken into rows, as a text is into lines; each then holds as much as it must."""
_WIDTH: Final = 720
_GUTTER: Final = 42
_COLUMNS: Final = 226
_WAVE: Final = 34
_BARS_A_ROW: Final = 80
"""Where there are more, those that lie close are one."""
_LINES_A_ROW: Final = 80
_MARKS_A_ROW: Final = 10
_VOICE_MS: Final = 500.0
_QUIET: Final = 14
"""Fainter sound is left out: a room, a fan."""
_TURNS_TOLD: Final = 30
_LETTER: Final = 5.6
_TICKS_MS: Final = (200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000)
_MOODS: Final = {"completed": "agent", "interrupted": "warn", "failed": "bad", "offered": "warn", "running": "dim"}
_TOP: Final = {"turns": 16, "you": 32, "words": 68, "thinks": 82, "tools": 92, "agent": 102, "pieces": 138}
_HEIGHT: Final = 154
_LABELS: Final = (
    ("you", 53, "you"),
    ("words", 77, "d"),
    ("thinks", 89, "d"),
    ("tools", 99, "d"),
    ("agent", 123, "agent"),
    ("heard", 147, "d"),
)
"""Word, place and colour of each."""


def timeline_text(timeline: Timeline) -> str:
    """How long it is, and the turns with when they began."""
    lanes = timeline.lanes
    turns = lanes["turns"][-_TURNS_TOLD:]
    before = [f"  … {count(len(lanes['turns']) - len(turns), 'earlier turn')}"] if len(lanes["turns"]) > len(turns) else []
    return "\n".join((f"Timeline · {_counts(timeline, lanes)}", *before, *(f"  {_clock(turn.at)} {_told(turn)}" for turn in turns)))


def timeline_page(timeline: Timeline) -> Html:
    """The picture, in as many rows as it takes, and the turns in words."""
    lanes = timeline.lanes
    end = max(timeline.end_ms, 1.0)
    rows = max(1, min(ROWS_AT_MOST, round(end / ROW_MS)))
    drawn = [_row(timeline.peaks, lanes, end * row / rows, end * (row + 1) / rows) for row in range(rows)]
    turns = lanes["turns"]
    told = [tag("li", tag("small", f"{_clock(turn.at)} "), foreign(_told(turn), 160)) for turn in turns[:_TURNS_TOLD]]
    words = tag("details", tag("summary", "Turns in words"), tag("ul", *told), left_out(len(turns) - len(told), "turns"))
    head = tag("div", tag("b", "Timeline "), tag("small", _counts(timeline, lanes)))
    return join(head, Html(_STYLE), *drawn, *([words] if told else []))


_COLOURED = ("you", "agent", "warn", "bad", "tool", "dim")
_STYLE = (
    "<style>.pnb .pnb-time{font:10px var(--jp-ui-font-family,system-ui,sans-serif);max-width:720px}.pnb-time text{fill:var(--ink)}"
    ".pnb-time .d{fill:var(--dim)}.pnb-time .l{stroke:var(--line);fill:none}"
    + "".join(f".pnb-time .{name}{{fill:var(--{name});stroke:var(--{name})}}" for name in _COLOURED)
    + ".pnb .pnb-time text{stroke:none}.pnb-time .voice{stroke:var(--warn);fill:none;opacity:.7}"
    ".pnb-time .cut{stroke:var(--warn);stroke-dasharray:3 2}.pnb-time .s{fill:none;stroke-opacity:.25}</style>"
)


def _counts(timeline: Timeline, lanes: Mapping[str, Sequence[Item]]) -> str:
    kinds = (("interruptions", "interruption"), ("failures", "failure"), ("tools", "tool call"))
    others = [count(len(lanes[lane]), word) for lane, word in kinds if lanes[lane]]
    return " · ".join((duration(timeline.end_ms), count(len(lanes["turns"]), "turn"), *others))


def _told(turn: Item) -> str:
    return f"turn {turn.turn} {turn.kind}: {line(turn.text, 120)}" if turn.text else f"turn {turn.turn} {turn.kind}"


def _row(peaks: Peaks, lanes: Mapping[str, Sequence[Item]], begin: float, end: float) -> Html:
    """A stretch of it as one picture."""
    columns = _columns(peaks, begin, end)
    parts = [
        *_ruler(begin, end),
        *_labels(),
        *_spans(lanes["turns"], begin, end, _TOP["turns"], 13, text=True),
        _wave(columns, 0, _TOP["you"], "you"),
        _wave(columns, 2, _TOP["agent"], "agent"),
        _voice(columns, (end - begin) / _COLUMNS),
        *_spans(lanes["words"], begin, end, _TOP["words"], 11, cls="you", text=True),
        *_spans(lanes["requests"], begin, end, _TOP["thinks"], 7, cls="agent"),
        *_spans(lanes["tools"], begin, end, _TOP["tools"], 7, cls="tool"),
        *_spans(lanes["pieces"], begin, end, _TOP["pieces"], 11, cls="agent", text=True),
        *_lines(lanes["interruptions"], begin, end, "cut", _TOP["you"], _TOP["agent"] + _WAVE),
        *_marks(lanes["failures"], begin, end, "bad"),
        *_marks(lanes["changes"], begin, end, "tool"),
    ]
    told = f"{_clock(begin)} to {_clock(end)}"
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" class="pnb-time" role="img" aria-label="Timeline from {told}"'
    return Html(f"<svg {box}>{''.join(parts)}</svg>")


def _x(t_ms: float, begin: float, end: float) -> float:
    return _GUTTER + (t_ms - begin) / (end - begin) * (_WIDTH - _GUTTER)


def _ruler(begin: float, end: float) -> Iterator[str]:
    per_pixel = (end - begin) / (_WIDTH - _GUTTER)
    step = next((step for step in _TICKS_MS if step / per_pixel >= 70), _TICKS_MS[-1])
    tick = -(-int(begin) // step) * step
    while tick <= end:
        x = round(_x(tick, begin, end), 1)
        words = f'<text class="d" x="{x + 3}" y="10">{_clock(tick, step)}</text>' if x < _WIDTH - 30 else ""
        yield f'<path class="l" d="M{x} 2V{_HEIGHT}"/>{words}'
        tick += step


def _labels() -> Iterator[str]:
    for name, y, cls in _LABELS:
        yield f'<text class="{cls}" x="2" y="{y}">{name}</text>'


def _columns(peaks: Peaks, begin: float, end: float) -> Grid:
    """The extremes of each column, of shape (columns, 5)."""
    each = (end - begin) / _COLUMNS
    level = max((level for level, bucket in enumerate(LEVELS) if bucket <= each), default=0)
    bucket = LEVELS[level]
    first = int(begin / bucket)
    grid = peaks.grid(level, first, int(end / bucket) + 2)
    edges = ((begin + each * np.arange(_COLUMNS)) / bucket).astype(np.int64) - first
    columns: Grid = np.maximum.reduceat(grid, edges)
    columns[:, (0, 2)] = np.minimum.reduceat(grid[:, (0, 2)], edges)
    return columns


def _wave(columns: Grid, column: int, top: int, cls: str) -> str:
    step = (_WIDTH - _GUTTER) / _COLUMNS
    middle, half = top + _WAVE / 2, (_WAVE / 2 - 1) / 127
    ends = columns[:, column : column + 2].tolist()
    path = "".join(
        f"M{_GUTTER + place * step:.0f} {middle - high * half:.0f}v{max(1, round((high - low) * half))}"
        for place, (low, high) in enumerate(ends)
        if high - low >= _QUIET
    )
    baseline = f'<path class="l" d="M{_GUTTER} {middle:.0f}H{_WIDTH}" stroke-dasharray="1 3"/>'
    return f'{baseline}<path class="{cls}" stroke-width="{step * 0.6:.1f}" d="{path}"/>' if path else baseline


def _voice(columns: Grid, each_ms: float) -> str:
    """The voice probability over the person's sound, where it was measured; of a long stretch it would say nothing."""
    if each_ms > _VOICE_MS:
        return ""
    step, bottom = (_WIDTH - _GUTTER) / _COLUMNS, _TOP["you"] + _WAVE
    path, drawn, last = [], False, -1
    for place, value in enumerate(columns[:, 4].tolist()):
        y = round(bottom - max(0, value) / 127 * (_WAVE - 1))
        if value >= 0 and (not drawn or y != last):
            path.append(f"{'L' if drawn else 'M'}{_GUTTER + place * step:.0f} {y}")
        drawn, last = value >= 0, y
    return f'<path class="voice" d="{"".join(path)}"/>' if path else ""


def _within(items: Sequence[Item], begin: float, end: float) -> list[Item]:
    return [item for item in items if item.at < end and (item.to is None or item.to >= begin)]


@dataclass(slots=True)
class _Bar:
    """A span on the picture, or several that lie too close to each other to be told apart."""

    left: float
    right: float
    cls: str
    words: str


def _spans(
    items: Sequence[Item], begin: float, end: float, top: int, height: int, *, cls: str | None = None, text: bool = False
) -> Iterator[str]:
    """Spans as bars of one path for each colour, with their text where it has room."""
    bars: list[_Bar] = []
    inside = _within(items, begin, end)
    pitch = (_WIDTH - _GUTTER) / _BARS_A_ROW if len(inside) > _BARS_A_ROW else 0.0
    for item in inside:
        left = max(_GUTTER, _x(item.at, begin, end))
        right = min(_WIDTH, max(left + 1, _x(end if item.to is None else item.to, begin, end)))
        named = cls or _MOODS.get(item.kind, "dim")
        if bars and bars[-1].cls == named and (left - bars[-1].left < pitch or right - bars[-1].right < 1):
            bars[-1].right, bars[-1].words = max(right, bars[-1].right), ""
        else:
            bars.append(_Bar(left, right, named, " ".join(filter(None, (str(item.turn) if cls is None else "", item.text)))))
    for name in sorted({bar.cls for bar in bars}):
        path = "".join(f"M{bar.left:.0f} {top}h{max(1, bar.right - bar.left):.0f}" for bar in bars if bar.cls == name)
        yield f'<path class="{name} s" stroke-width="{height}" transform="translate(0 {height / 2:g})" d="{path}"/>'
    nexts = [bar.left for bar in bars[1:]] + [float(_WIDTH)]
    for bar, following in zip(bars, nexts, strict=False) if text else ():
        room = int((min(bar.right, following) - bar.left - 4) / _LETTER)
        if bar.words and room >= min(3, len(bar.words)):
            yield f'<text x="{bar.left + 3:.0f}" y="{top + height - 3}">{_escaped(bar.words, room)}</text>'


def _escaped(words: str, room: int) -> str:
    told = " ".join(clean(words[: room + 1]).split())
    return str(join(told if len(words) <= room else f"{told[: max(1, room - 1)]}…"))


def _lines(items: Sequence[Item], begin: float, end: float, cls: str, top: int, bottom: int) -> Iterator[str]:
    path = "".join(f"M{_x(item.at, begin, end):.0f} {top}V{bottom}" for item in _within(items, begin, end)[:_LINES_A_ROW])
    if path:
        yield f'<path class="{cls}" d="{path}"/>'


def _marks(items: Sequence[Item], begin: float, end: float, cls: str) -> Iterator[str]:
    for item in _within(items, begin, end)[:_MARKS_A_ROW]:
        x = round(_x(item.at, begin, end))
        yield f'<path class="{cls}" d="M{x - 4} 3h8l-4 9z"><title>{_escaped(item.text, 60)}</title></path>'


def _clock(t_ms: float, step: float = 1000) -> str:
    places = 0 if step >= 1000 else 1
    minutes, seconds = divmod(round(t_ms / 1000, places), 60)
    hours, minutes = divmod(int(minutes), 60)
    told = f"{seconds:0{places + 3 if places else 2}.{places}f}"
    return f"{hours}:{minutes:02d}:{told}" if hours else f"{minutes}:{told}"
