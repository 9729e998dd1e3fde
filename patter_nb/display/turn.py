"""A turn as it was lived: what was said, what was heard of it and what never was, the tools between, what it took and cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from patter_nb.display.error import error_card, error_text
from patter_nb.display.figures import bill, count, duration, money, speech, tokens
from patter_nb.display.markup import Html, foreign, join, left_out, line, shorten, tag
from patter_nb.display.tools import call_card, call_line, call_text
from patter_nb.display.waterfall import waterfall_brief, waterfall_page
from patter_nb.events import BreakpointHit
from patter_nb.llm.base import LLMChunk
from patter_nb.turn import LLMRequest, ToolCall, Turn

__all__ = ["broken_off", "turn_item", "turn_page", "turn_text", "turns_list", "turns_text"]

TURNS_SHOWN = 20

_SOURCES = {"speech": "spoken", "typed": "typed", "say": "said by itself", "greeting": "greeting"}
_MOODS = {"running": "dim", "completed": "ok", "interrupted": "warn", "failed": "bad", "offered": "warn"}


@dataclass(frozen=True, slots=True)
class Room:
    """How much of a turn is shown: bytes of each line and of each value, how many tool calls and how, bytes of all chunks."""

    line: int
    value: int
    calls: int
    call: Callable[[ToolCall, int, str | None], Html]
    chunks: int


FULL = Room(line=6000, value=1500, calls=10, call=call_card, chunks=30_000)
BRIEF = Room(line=400, value=160, calls=3, call=call_line, chunks=800)


# --- in words


def turn_text(turn: Turn) -> str:
    """The turn in lines of plain text."""
    lines = [f"Turn {turn.id}: {_status(turn)} ({_source(turn)})"]
    if turn.user_text:
        lines.append(f"  you    {line(turn.user_text, 400)}")
    lines += [f"  tool   {call_text(call, _held(turn, call))}" for call in turn.tool_calls[:10]]
    heard, rest = _heard(turn)
    if heard or rest:
        unheard = [f"[not heard: {line(rest, 400)}]"] if rest else []
        lines.append("  agent  " + " ".join((*([line(heard, 400)] if heard else []), *unheard)))
    lines += [f"         {note}" for note in _notes(turn)]
    if turn.error is not None:
        lines.append("  " + error_text(turn.error).replace("\n", "\n  "))
    why = turn.waterfall.why if turn.source == "speech" and "response" not in turn.latency else ""
    return "\n".join((*lines, f"  {_figures(turn)}{f': {why}' if why else ''}"))


def turns_text(turns: Sequence[Turn]) -> str:
    """The last turns, one below the other."""
    shown = turns[-TURNS_SHOWN:]
    before = [f"… {count(len(turns) - len(shown), 'earlier turn')}"] if len(turns) > len(shown) else []
    return "\n".join((count(len(turns), "turn"), *before, *(turn_text(turn) for turn in shown)))


def _source(turn: Turn) -> str:
    return _SOURCES.get(turn.source, turn.source)


def _heard(turn: Turn) -> tuple[str, str]:
    """What was heard of the answer, and the rest. A text that the heard one does not begin is shown whole after it.

    As long as it sounds it counts as heard: what is shown stays as it is, and should not say for good what is over in a moment.
    """
    if turn.status in ("completed", "failed") and not turn.is_settled:
        return turn.agent_text, ""
    if turn.agent_text.startswith(turn.heard_text):
        return turn.heard_text, turn.agent_text[len(turn.heard_text) :].strip()
    return turn.heard_text, turn.agent_text


def _notes(turn: Turn) -> list[str]:
    heard, rest = _heard(turn)
    match turn.status:
        case "interrupted":
            return [broken_off(turn) + ("; the rest was never heard" if heard and rest else "")]
        case "offered":
            return ["came too late to be answered unasked: await session.accept(turn) answers it"]
        case "running":
            return ["still running" if turn._stopped is None else f"{_stopped(turn, turn._stopped)}: session.resume(...)"]
        case "completed" | "failed" if heard and not turn.is_settled:
            return ["still being spoken when this was shown"]
    return ["the rest was not heard" if heard else "never heard"] if rest else []


def _status(turn: Turn) -> str:
    return turn.status if turn._stopped is None else "stopped"


def _stopped(turn: Turn, hit: BreakpointHit) -> str:
    """What it has stopped before."""
    call = next((call for call in turn.tool_calls if hit.id is not None and call.id == hit.id), None)
    if call is not None and not isinstance(call.arguments, str):
        given = ", ".join(f"{name}={value!r}" for name, value in call.arguments.items())
        return f"stopped before {line(f'{call.name}({given})', 200)}"
    before = {"llm_request": "asking ", "tool_call": "", "speak": "saying "}[hit.point]
    return f"stopped before {before}{line(hit.what, 200)}"


def _held(turn: Turn, call: ToolCall) -> str | None:
    """How a call stands that has not run, for the answer has stopped before it or before one that stands before it."""
    ids = [one.id for one in turn.tool_calls]
    if turn._stopped is None or turn._stopped.id not in ids or call.status != "running":
        return None
    first, place = ids.index(turn._stopped.id), ids.index(call.id)
    return None if place < first else "stopped here" if place == first else "waits"


def broken_off(turn: Turn) -> str:
    """Where the person interrupted."""
    if not turn.heard_text:
        return "interrupted before the first word"
    return f"interrupted after {duration(turn.heard_ms) if turn.heard_ms else count(len(turn.heard_text.split()), 'word')}"


def _asked(turn: Turn) -> str:
    """One line: who answered, tokens, cost; of ears and voice what they were sent, where that costs."""
    costs, asked = turn.costs, [_answered(turn), tokens(turn.usage)] if turn.requests else ["no model was asked"]
    speaks = [stage for stage in ("stt", "tts") if costs.get(stage, 0) != 0]
    wasted = [f"{tokens(turn.wasted)} for answers begun early and dropped"] if turn.wasted else []
    paid = [bill(costs, refused=_is_refused(turn))] if turn.requests or speaks else []
    return clean_line(*asked, *wasted, *(speech(turn.usage) if speaks else []), *paid)


def _is_refused(turn: Turn) -> bool:
    return any(request.is_refused for request in turn.requests)


def _bill(turn: Turn) -> Html:
    """What each stage costs, where more than one does."""
    paid = {stage: cost for stage, cost in turn.costs.items() if cost != 0}
    refused = "llm" if _is_refused(turn) else None
    told = (f"{stage} {money(cost, refused=stage == refused)}" for stage, cost in paid.items())
    return tag("p", clean_line(*told), cls="dim") if len(paid) > 1 else Html()


def _answered(turn: Turn) -> str:
    """Who answered: more than one where another model went on with what the first had begun."""
    return ", then ".join(name for name, _ in groupby(map(_who, turn.requests)))


def _who(request: LLMRequest) -> str:
    return " ".join(filter(None, request.answered_by))


def _figures(turn: Turn) -> str:
    """One line: who answered, tokens, cost, response."""
    response = turn.latency.get("response")
    return " · ".join((_asked(turn), f"response {duration(response)}" if response is not None else "response not measured"))


def clean_line(*figures: str) -> str:
    """Figures in a row."""
    return " · ".join(line(figure, 120) for figure in figures)


# --- as markup


def turn_page(turn: Turn) -> Html:
    """The whole turn."""
    return join(
        _head(turn),
        _talk(turn, FULL),
        tag("p", _asked(turn), cls="dim"),
        _bill(turn),
        waterfall_page(turn.waterfall),
        _requests(turn, FULL),
    )


def turn_item(turn: Turn) -> Html:
    """The turn as one of many."""
    figures = tag("p", _figures(turn), cls="dim")
    return join(_head(turn), _talk(turn, BRIEF), figures, waterfall_brief(turn.waterfall), _requests(turn, BRIEF))


def turns_list(turns: Sequence[Turn]) -> Html:
    """The last turns, in order."""
    if not len(turns):
        return tag("p", "No turns yet.", cls="dim")
    shown = turns[-TURNS_SHOWN:]
    before = len(turns) - len(shown)
    note = [tag("p", tag("small", f"… {count(before, 'earlier turn')} not shown"))] if before else []
    return join(*note, tag("ol", *(tag("li", turn_item(turn)) for turn in shown)))


def _head(turn: Turn) -> Html:
    mood = _MOODS[turn.status] if turn._stopped is None else "warn"
    return tag("div", tag("b", f"Turn {turn.id} "), tag("span", _status(turn), cls=mood), tag("small", f" {_source(turn)}"))


def _talk(turn: Turn, room: Room) -> Html:
    """Who said what, in order: the person, the tools, the agent, what went wrong."""
    heard, rest = _heard(turn)
    mood = "warn" if turn.status in ("interrupted", "offered") or turn._stopped is not None else "dim"
    notes = [tag("div", tag("small", note, cls=mood)) for note in _notes(turn)]
    rows = []
    if turn.user_text:
        words = foreign(turn.user_text, room.line)
        if turn.words:
            words = tag("span", words, title=line(_when(turn), room.line))
        rows.append(_row("you", words, *(notes if turn.status == "offered" else ())))
    if turn.tool_calls:
        cards = [room.call(call, room.value, _held(turn, call)) for call in turn.tool_calls[: room.calls]]
        rows.append(_row("tools", *cards, left_out(len(turn.tool_calls) - len(cards), "calls")))
    if heard or rest:
        rows.append(_row("agent", _said(heard, rest, room, never=turn.status in ("interrupted", "failed")), *notes))
    elif notes and turn.status != "offered":
        rows.append(_row("agent", *notes))
    failed = [error_card(turn.error, room=room.line // 2)] if turn.error is not None else []
    return join(tag("dl", *rows, cls="talk"), *failed)


def _when(turn: Turn) -> str:
    """When each word began, in seconds of the session's sound."""
    timed = ((word.text, word.start_ms) for word in turn.words if word.start_ms is not None)
    return " ".join(f"{start_ms / 1000:.2f} {text}" for text, start_ms in timed)


def _row(who: str, *what: str) -> Html:
    return join(tag("dt", who, cls=who), tag("dd", *what))


def _said(heard: str, rest: str, room: Room, *, never: bool) -> Html:
    """Ink and ghost in one run of text, so that a right-to-left answer stays one. What will `never` be heard is struck where styles are."""
    ink, unseen = shorten(heard, room.line)
    ghost, more = shorten(rest, room.line)
    unheard = [*([" "] if heard else []), tag("s" if never else "em", ghost), left_out(more)] if rest else []
    return tag("bdi", ink, left_out(unseen), *unheard)


def _requests(turn: Turn, room: Room) -> Html:
    """Each request with its chunks, folded."""
    if not turn.requests:
        return Html()
    shown = turn.requests[: room.calls + 1]
    rounds = [_request(request, room.chunks // len(shown)) for request in shown]
    title = f"{count(len(turn.requests), 'request')}, {count(len(turn.chunks), 'chunk')}"
    return tag("details", tag("summary", title), *rounds, left_out(len(turn.requests) - len(shown), "requests"))


def _request(request: LLMRequest, room: int) -> Html:
    said = f"said by {_who(request)}"
    asked = (f"round {request.round} by {_who(request)}", f"{count(len(request.messages), 'message')} after {request.carried:,} carried")
    told = [said] if request.piece is not None else [*asked]
    if request.usage is not None:
        both = {"input_tokens": request.usage.input_tokens, "output_tokens": request.usage.output_tokens}
        told.append(tokens({name: number for name, number in both.items() if number is not None}))
    if request.piece is None:
        told.append(f"finished: {request.finish_reason}" if request.finish_reason else "not finished")
    return join(tag("p", clean_line(*told), cls="dim"), *chunk_lines(request.chunks, room))


def chunk_lines(chunks: Sequence[LLMChunk], room: int) -> list[Html]:
    """The chunks as they came, a line for each kind, with their borders; at most `room` bytes."""
    kinds = ("text", "reasoning", "tool_call")
    streams = {kind: [chunk for chunk in chunks if chunk.type == kind] for kind in kinds}
    present = [kind for kind in kinds if streams[kind]]
    return [_stream(kind.replace("_", " "), streams[kind], room // len(present)) for kind in present]


def _stream(name: str, chunks: Sequence[LLMChunk], room: int) -> Html:
    border, pieces, used = "<i>|</i>", [], 0
    for chunk in chunks:
        piece, rest = shorten(_words(chunk), room)
        used += len(piece.encode()) + len(border)
        if used > room:
            break
        pieces.append(join(piece, left_out(rest)))
    told = tag("small", f"{name}, {count(len(chunks), 'chunk')} ")
    return tag("div", told, tag("code", tag("bdi", Html(border.join(pieces))), cls="chunks"), left_out(len(chunks) - len(pieces), "chunks"))


def _words(chunk: LLMChunk) -> str:
    if chunk.type == "tool_call":
        return f"{chunk.name or ''}{' ' if chunk.name and chunk.arguments else ''}{chunk.arguments or ''}"
    return chunk.content or ""
