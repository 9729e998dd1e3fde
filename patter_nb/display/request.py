"""A request as it went over the wire: who was asked, what it took and cost, and in folds what was really sent and answered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from patter_nb.display.figures import count, duration, money, tokens
from patter_nb.display.markup import Html, compact_json, foreign, join, left_out, line, shorten, tag
from patter_nb.display.turn import chunk_lines, clean_line
from patter_nb.llm.wire.attempt import Answered, Attempt, Sent
from patter_nb.sequences import Requests
from patter_nb.turn import LLMRequest

__all__ = ["request_page", "request_text", "requests_page", "requests_text", "sent_figures"]

_TOOL_ROOM = 6_000
_SHOWN = 20
_BY_CLIENT = "sent by the vendor's own client: address, headers and size on the wire are not known here"
_LET_GO = "no longer kept: of a long session the newest bodies and answers are"
_PACKED = {"application/vnd.msgpack": "MessagePack", "gzip": "gzip"}
_MOODS = {None: "dim", "stop": "ok", "tool_calls": "ok", "length": "warn", "content_filter": "bad", "cancelled": "warn"}


@dataclass(frozen=True, slots=True)
class Room:
    """How much of a request is shown: bytes of a body, how many attempts and headers, bytes of a name or an error."""

    body: int
    attempts: int
    headers: int
    line: int


FULL = Room(body=24_000, attempts=6, headers=40, line=400)


# --- in words


def request_text(request: LLMRequest) -> str:
    """Who was asked, in lines of plain text: figures, then what was sent and answered."""
    lines = [f"Request of turn {request.turn}, round {request.round}: {line(_who(request), 200)}, {_ended(request)}"]
    lines += [f"  {figures}" for figures in (clean_line(*_used(request)), clean_line(*_took(request))) if figures]
    lines += [f"  attempt {each.attempt}: {_failed(each)}" for each in _earlier(request)[: FULL.attempts]]
    if (sent := request.sent) is None:
        return "\n".join((*lines, "  nothing went over a wire"))
    lines.append(f"  sent      {line(_address(sent), 300)}")
    lines += [f"            {line(compact_json(sent.body), 600)}"] if sent.body is not None else []
    if request.stage == "engine":
        return "\n".join((*lines, *(f"  {who:10}{line(kinds, 300)}" for who, kinds in _counted(request.attempts[-1]))))
    answered = request.answered
    lines.append(f"  answered  {line(_reply(answered), 300) if answered is not None else 'not yet, or not at all'}")
    return "\n".join(lines)


def requests_text(requests: Requests) -> str:
    """The last requests, a line for each."""
    shown = requests[-_SHOWN:]
    before = [f"… {count(len(requests) - len(shown), 'earlier request')}"] if len(requests) > len(shown) else []
    rows = (f"  turn {each.turn}, round {each.round}  {clean_line(_who(each), *_used(each), *_took(each))}" for each in shown)
    return "\n".join((count(len(requests), "request"), *before, *rows))


def sent_figures(request: LLMRequest) -> list[str]:
    """How large it was, and how much smaller than as JSON."""
    sent = request.sent
    if sent is None or request.stage == "engine":
        return []
    if sent.size is None:
        return [f"{count(sent.plain_size, 'byte')} of JSON"]
    if not sent.saved:
        return [f"sent {count(sent.size, 'byte')}"]
    return [f"sent {sent.size:,} of {count(sent.plain_size, 'byte')} ({_percent(sent.saved / sent.plain_size)} saved by {_packing(sent)})"]


def _packing(sent: Sent) -> str:
    said = {name.lower(): value for name, value in sent.headers.items()}
    ways = [_PACKED[value] for value in (said.get("content-type", ""), said.get("content-encoding", "")) if value in _PACKED]
    return " and ".join(ways) or "packing"


def _who(request: LLMRequest) -> str:
    return " ".join(filter(None, request.answered_by))


def _ended(request: LLMRequest) -> str:
    return request.finish_reason or ("failed" if request.attempts and request.attempts[-1].error else "not finished")


def _used(request: LLMRequest) -> list[str]:
    usage = request.usage
    counts = usage.to_dict() if usage is not None else {}
    told = tokens({name: number for name, number in counts.items() if name.endswith("_tokens")})
    guess = " (estimated)" if usage is not None and usage.estimated else ""
    cached = [f"{_percent(request.cached)} of what it read came from the cache"] if request.cached else []
    return [told + guess, *cached, money(request.cost, refused=request.is_refused)]


def _took(request: LLMRequest) -> list[str]:
    answered = request.answered if request.stage == "llm" else None
    times = {"first byte": answered.first_byte_ms if answered is not None else None, "first chunk": request.first_chunk_ms}
    times |= {"end": request.total_ms}
    took = [f"{name} {duration(ms)}" for name, ms in times.items() if ms is not None]
    again = [count(len(request.attempts), "attempt")] if len(request.attempts) > 1 else []
    return [*sent_figures(request), *([", ".join(took)] if took else []), *again]


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 or not share else "under 1%"


def _earlier(request: LLMRequest) -> list[Attempt]:
    """The attempts before the last one, and that one too where it failed."""
    return [each for each in request.attempts if each is not request.attempts[-1] or each.error is not None]


def _failed(attempt: Attempt) -> str:
    answered = attempt.answered
    status = [f"HTTP {answered.status}"] if answered is not None and answered.status is not None else []
    took = [f"after {duration(answered.total_ms)}"] if answered is not None and answered.total_ms is not None else []
    return clean_line(attempt.provider, *status, *took, attempt.error or "broke off")


def _address(sent: Sent) -> str:
    return f"{sent.method} {sent.url}" if sent.url is not None else _BY_CLIENT


def _reply(answered: Answered) -> str:
    status = [f"HTTP {answered.status}"] if answered.status is not None else []
    events = answered.events
    much = [count(len(events), "event")] if events is not None else []
    return clean_line(*status, *much, count(answered.size, "byte"), *([] if answered.is_complete else ["cut off, or still coming"]))


def _counted(attempt: Attempt) -> list[tuple[str, str]]:
    """How many messages of each kind went to an engine and came from it."""
    both = (("told", attempt.told), ("heard", attempt.heard))
    return [(who, ", ".join(f"{kind} {number:,}" for kind, number in kinds.items())) for who, kinds in both if kinds]


# --- as markup


def request_page(request: LLMRequest) -> Html:
    """Figures, then folds of what was sent and answered."""
    return join(*_figures(request, FULL), *_exchanged(request, FULL), *chunk_lines(request.chunks, 12_000))


def _figures(request: LLMRequest, room: Room) -> list[Html]:
    """Who was asked, how it ended, what it took and cost, and what failed before."""
    where = f" turn {request.turn}, round {request.round}" + (f", piece {request.piece}" if request.piece is not None else "")
    ended = _ended(request)
    mood = "bad" if ended == "failed" else _MOODS.get(request.finish_reason, "dim")
    head = tag("div", tag("b", foreign(_who(request), room.line)), " ", tag("span", ended, cls=mood), tag("small", where))
    figures = [tag("p", told, cls="dim") for told in (clean_line(*_used(request)), clean_line(*_took(request))) if told]
    earlier = _earlier(request)
    tried = [tag("li", f"attempt {each.attempt}: ", foreign(_failed(each), room.line)) for each in earlier[: room.attempts]]
    again = [tag("ul", *tried, left_out(len(earlier) - len(tried), "attempts"), cls="warn")] if tried else []
    return [head, *figures, *again]


def _exchanged(request: LLMRequest, room: Room) -> list[Html]:
    sent = request.sent
    if sent is None:
        return [tag("p", "Nothing went over a wire.", cls="dim")]
    if request.stage == "engine":
        return [_conversation(sent, request.attempts[-1], room)]
    answered = request.answered
    return [_sent(sent, room), *([_answered(answered, room)] if answered is not None else [])]


def _sent(sent: Sent, room: Room) -> Html:
    size = [tag("small", f" {count(sent.size, 'byte')}")] if sent.size is not None else []
    title = tag("summary", "sent ", tag("code", foreign(_address(sent), room.line)) if sent.url else "by the vendor’s own client", *size)
    unknown = [] if sent.url else [tag("p", f"{_BY_CLIENT[:1].upper()}{_BY_CLIENT[1:]}.", cls="dim")]
    return tag("details", title, *unknown, _headers(sent.headers, room), _json(sent.body, room.body))


def _answered(answered: Answered, room: Room) -> Html:
    title = tag("summary", "answered ", tag("small", _reply(answered)))
    events = answered.events
    if events is None:
        return tag("details", title, _headers(answered.headers, room), tag("p", f"{_LET_GO[:1].upper()}{_LET_GO[1:]}.", cls="dim"))
    text = "\n".join(event if isinstance(event, str) else compact_json(event) for event in events)
    shown, rest = shorten(text, room.body)
    part = [tag("p", "Of this answer only the beginning is kept.", cls="dim")] if not answered.is_whole else []
    return tag("details", title, _headers(answered.headers, room), tag("pre", tag("bdi", shown)), left_out(rest), *part)


def _conversation(sent: Sent, attempt: Attempt, room: Room) -> Html:
    """An engine's: the settings it was sent, and how many messages went there and back."""
    title = tag("summary", "conversation ", tag("code", foreign(_address(sent), room.line)) if sent.url else "by the vendor’s own client")
    rows = [_row(f"messages {who}", foreign(kinds, 1500)) for who, kinds in _counted(attempt)]
    return tag("details", title, tag("dl", *rows), _headers(sent.headers, room), _json(sent.body, room.body))


def _headers(headers: Mapping[str, str], room: Room) -> Html:
    shown = list(headers.items())[: room.headers]
    return tag("dl", *(_row(foreign(name, 100), tag("code", foreign(value, 300))) for name, value in shown)) if shown else Html()


def _row(name: str, value: str) -> Html:
    return join(tag("dt", name), tag("dd", value))


def _json(body: Any, room: int) -> Html:
    """A body as JSON over several lines."""
    if body is None:
        return tag("p", f"{_LET_GO[:1].upper()}{_LET_GO[1:]}.", cls="dim")
    shown, rest = shorten(json.dumps(body, ensure_ascii=False, indent=2), room)
    return join(tag("pre", tag("bdi", shown)), left_out(rest))


def requests_page(requests: Requests) -> Html:
    """The last requests, one below the other; where several models were told of the same tools, how each of them was."""
    if not len(requests):
        return tag("p", "No requests yet.", cls="dim")
    shown = requests[-_SHOWN:]
    room = Room(body=24_000 // len(shown), attempts=2, headers=0, line=200)
    hidden = len(requests) - len(shown)
    note = [tag("p", tag("small", f"… {count(hidden, 'earlier request')} not shown"))] if hidden else []
    items = (tag("li", *_figures(each, room), *_exchanged(each, room)) for each in shown)
    return join(tag("div", tag("b", count(len(requests), "request"))), _dialects(shown), *note, tag("ol", *items))


def _dialects(requests: Iterable[LLMRequest]) -> Html:
    """The tools in the words of each vendor, where there are several."""
    told = {_who(each): each.sent.body.get("tools") for each in requests if each.sent is not None and isinstance(each.sent.body, dict)}
    told = {who: tools for who, tools in told.items() if tools}
    if len(told) < 2:
        return Html()
    each = [
        tag("div", tag("b", foreign(who, 200)), _json(tools, _TOOL_ROOM), style="flex:1 1 18em;min-width:0")
        for who, tools in [*told.items()][:8]
    ]
    side_by_side = tag("div", *each, style="display:flex;flex-wrap:wrap;gap:4px 12px")
    return tag("details", tag("summary", f"The tools as each of {count(len(told), 'model')} was told them"), side_by_side)
