"""Where the time went between a person's last word and the agent's first sound: parts that follow each other and sum to the gap.

The gap is measured between the two devices, the parts at the stations between them, each by the clock of whoever stands there. What no
station accounts for is a part of its own, "unexplained"; what nobody measured says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from patter_nb.events import LLMChunked, LLMRequested, SentenceChecked, SentenceReady, SpeechEnded, ToolCalled, ToolEnded, TurnStatus

if TYPE_CHECKING:
    from patter_nb.course import Course, Spoke
    from patter_nb.turn import LLMRequest

__all__ = ["PARTS", "UNEXPLAINED", "Part", "Waterfall", "waterfall_of"]

UNEXPLAINED: Final = "unexplained"
PARTS: Final = (
    *("endpointing", "microphone", "stt", "check", "first token", "tool call", "tools", "sentence", "filler", "first audio", "answer"),
    *("browser", "playback", "first audible sample", "kernel busy", "breakpoint"),
)
"""The names of all that is measured, about in the order in which it comes."""
_TOLD_AT_ZERO: Final = ("stt", "first token")
"""Parts that are there also when they took no time: that is what was hoped for."""
_OURS: Final = "patter_nb"
_NOBODY: Final = "nobody known"
_CHECKS: Final = "hooks and guardrails"
_UNPACED: Final = "faster than real time"
_DIGITS: Final = 3
_Spells = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Part:
    """A share of the gap: it begins `start_ms` after the last word and takes `duration_ms`.

    `owner` is who could make it shorter: a provider by its name and model, a setting, a tool, the browser, the kernel, this package.
    `measured` False: nobody measured it, and `detail` says why; its duration is then 0, or what the measured parts leave.
    """

    name: str
    start_ms: float
    duration_ms: float
    owner: str
    detail: str = ""
    measured: bool = True

    @property
    def stop_ms(self) -> float:
        """When the next one begins."""
        return self.start_ms + self.duration_ms


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The gap of one turn and its parts, in order, in milliseconds; they sum to it. It shows itself as a bar.

        microphone               the sound's way to the session, as far as it came late
        endpointing              silence that was waited for, so as not to interrupt the person
        stt                      words that were waited for after that
        check                    hooks and guardrails
        first token              the model, from request to the first thing it sent; anew after each round of tools
        tool call, tools         the model writes the call; the tools run
        sentence                 until the first sentence was whole
        first audio, filler      the voice, until the first of its sound; that of a filler, where one came first
        answer                   all of that where an engine answers
        browser, playback        from handing the sound over until it sounded
        first audible sample     silence that the voice's sound begins with
        kernel busy, breakpoint  of any of these: while a cell kept the kernel, or the answer stood still for who looks at it
        unexplained              what no part accounts for

    `gap_ms` None: it was not measured, and `why` says so; the parts are then those that were. `since` and `until` are its ends in words.
    """

    parts: tuple[Part, ...]
    gap_ms: float | None
    residual_ms: float | None
    since: str
    until: str = "the first sound"
    why: str = ""

    def by_name(self) -> dict[str, float]:
        """The milliseconds of each part that was measured, those of one name together."""
        total: dict[str, float] = {}
        for part in self.parts:
            if part.measured or part.duration_ms:
                total[part.name] = total.get(part.name, 0.0) + part.duration_ms
        return total

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)


@dataclass(frozen=True, slots=True)
class _Span:
    """A part before it is cut to the gap, in wall seconds."""

    name: str
    start: float
    stop: float
    owner: str
    detail: str = ""
    measured: bool = True


def waterfall_of(course: Course, requests: Sequence[LLMRequest] = (), status: TurnStatus = "running") -> Waterfall:
    """The waterfall of a turn as far as it has come."""
    start, since = _origin(course)
    if start is None:
        owner = course.runs.get("engine") or course.runs.get("stt", "speech to text")
        unheard = _Span("endpointing", course.since_s, course.since_s, owner, "nobody told when the last word was over", measured=False)
        return _cut([unheard, *_answered(course, requests, status)], course.since_s, None, since, "nobody told when the last word was over")
    if _runs_ahead(course):
        return _cut([*_unmeasured(course), *_answered(course, requests, status)], course.since_s, None, since, _UNPACED)
    spans = [*_ended(course), *_answered(course, requests, status)]
    heard = None if course.heard_s is None else max(course.heard_s, start)
    why = next((span.detail for span in reversed(spans) if not span.measured and span.name != UNEXPLAINED), "") if heard is None else ""
    return _cut(spans, start, heard, since, why)


def _origin(course: Course) -> tuple[float | None, str]:
    if course.accepted:
        return course.since_s, "your acceptance"
    if course.source == "typed":
        return course.since_s, "your message"
    if course.source != "speech":
        return course.since_s, "the beginning of the turn"
    return (None if course.spoke is None else min(course.spoke.voice_s, course.since_s)), "your last word"


# --- until the turn began


def _runs_ahead(course: Course) -> bool:
    """Whether the gap would begin in sound that ran faster than the wall."""
    return course.unpaced and course.source == "speech" and not course.accepted


def _unmeasured(course: Course) -> Iterator[_Span]:
    """The parts of `_ended`, of which the wall knows nothing where the sound ran ahead of it."""
    told = course.spoke.ended[1] if course.spoke is not None and course.spoke.ended is not None else None
    owner = course.runs.get("engine", "whoever heard it") if told is None else _silence_owner(told)
    yield _Span("endpointing", course.since_s, course.since_s, owner, _UNPACED, measured=False)
    if told is not None:
        yield _Span("stt", course.since_s, course.since_s, course.runs.get("stt", "speech to text"), _UNPACED, measured=False)


def _ended(course: Course) -> Iterator[_Span]:
    """From the last voice until the turn began."""
    spoke = course.spoke
    if course.source != "speech" or course.accepted or spoke is None:
        return
    since, voice = course.since_s, min(spoke.voice_s, course.since_s)
    if spoke.ended is None:
        owner = course.runs.get("engine", "whoever heard it")
        yield from _carved(course, _Span("endpointing", voice, since, owner, "until it took the person to have finished"))
        return
    ended, told = min(max(spoke.ended[0], voice), since), spoke.ended[1]
    yield from _silence(course, voice, ended, told)
    stt = course.runs.get("stt", "speech to text")
    yield from _carved(course, _Span("stt", ended, since, stt, _words(spoke, ended)))


def _silence(course: Course, voice: float, ended: float, told: SpeechEnded) -> Iterator[_Span]:
    """The silence that was waited for, by the samples; and how late the last of it came."""
    owner = _silence_owner(told)
    if told.silence_ms is None:
        yield _Span("endpointing", voice, ended, "you", "the microphone was closed before the silence was long enough")
        return
    waited = min(told.silence_ms / 1000, ended - voice)
    yield _Span("endpointing", voice, voice + waited, owner, f"{told.silence_ms:.0f} ms of silence")
    late = min(told.late_ms / 1000, ended - voice - waited)
    *rest, _ = edges = [voice + waited, voice + waited + late, ended]
    busy = min(_overlap(course.busy, rest[0], ended), late)
    yield _Span("microphone", edges[0], edges[1] - busy, "microphone to session", "the sound was on its way")
    yield _Span("kernel busy", edges[1] - busy, edges[1], "kernel", "something else ran in it, and the sound waited")
    yield _Span(UNEXPLAINED, edges[1], edges[2], _NOBODY, "between the silence and its end", measured=False)


def _silence_owner(told: SpeechEnded) -> str:
    return "setting endpointing_ms" if told.judge is None else f"turn detector {told.judge}"


def _words(spoke: Spoke, ended: float) -> str:
    if spoke.words_s is None:
        return ""
    early = ended - spoke.words_s
    return f"the words stood {early * 1000:.0f} ms before that" if early > 0 else "the words were waited for"


# --- from there until it was heard


def _answered(course: Course, requests: Sequence[LLMRequest], status: TurnStatus) -> Iterator[_Span]:
    since, sent = course.since_s, course.sent_s
    engine = _engine(course)
    stop = max(since, _so_far(course) if sent is None else sent)
    ready = stop if engine else min(_ready(course, stop), stop)
    for span in _walk(course, requests, since, max(since, ready), engine):
        yield from _carved(course, span)
    for span in _voice(course, max(since, ready), stop, engine):
        yield from _carved(course, span)
    if sent is None:
        voice = course.runs.get("tts", engine or "voice")
        yield _Span("first audio", stop, stop, voice, _why_silent(course, status, engine), measured=False)
    else:
        yield from _sounded(course, max(since, sent), status, engine)


def _so_far(course: Course) -> float:
    """How far a turn has come of which nothing has sounded: to its first piece, where there is one; a voice may be at work on that."""
    piece = next((at for at, body in course.steps if isinstance(body, SentenceReady)), None)
    last = max((at for at, _ in course.steps), default=course.since_s)
    return piece if piece is not None else last if course.over_s is None else max(last, course.over_s)


def _engine(course: Course) -> str:
    """The engine that answered, if one did."""
    asked = [body for _, body in course.steps if isinstance(body, LLMRequested)]
    if asked:
        return " ".join(filter(None, (asked[0].provider, asked[0].model))) if asked[0].stage == "engine" else ""
    return course.runs.get("engine", "")


def _ready(course: Course, otherwise: float) -> float:
    """When the piece that sounded first was whole."""
    return next((at for at, body in course.steps if isinstance(body, SentenceReady) and body.index == course.piece), otherwise)


def _walk(course: Course, requests: Sequence[LLMRequest], since: float, stop: float, engine: str) -> Iterator[_Span]:  # noqa: C901  # one case for each event
    """What was waited for, station by station, until the first piece was whole."""
    name, at, round = ("answer" if engine else "check"), since, 0
    model, running, called = "", set[str](), list[str]()

    def passed(now: float, next_name: str) -> Iterator[_Span]:
        nonlocal name, at
        yield _waited(name, at, now, engine, model, called, round)
        name, at = next_name, now

    for told, body in course.steps:
        now = min(max(told, since), stop)
        if told > stop:
            break
        match body:
            case LLMRequested(provider=provider, model=whose):
                yield from passed(now, "answer" if engine else "first token")
                round += 1
                who = requests[round - 1].answered_by if round <= len(requests) else (provider, whose)
                model = " ".join(filter(None, who))
            case LLMChunked() if not engine:
                yield from passed(now, "sentence")
            case ToolCalled(id, tool):
                if name == "sentence":
                    name = "tool call"
                if name != "tools":
                    yield from passed(now, "tools")
                    called = []
                running.add(id)
                called.append(tool)
            case ToolEnded(id=id):
                running.discard(id)
                if name == "tools" and not running:
                    yield from passed(now, "answer" if engine else UNEXPLAINED)
    yield _waited(name, at, stop, engine, model, called, round)


def _waited(name: str, start: float, stop: float, engine: str, model: str, called: Sequence[str], round: int) -> _Span:
    again = f"round {round}" if round > 1 else ""
    match name:
        case "answer":
            return _Span(name, start, stop, engine, "it hears, thinks and speaks by itself")
        case "first token":
            return _Span(name, start, stop, model, again)
        case "tool call":
            return _Span(name, start, stop, model, "it writes the call")
        case "sentence":
            return _Span(name, start, stop, _OURS, f"until the first sentence was whole, as {model} writes it")
        case "tools":
            return _Span(name, start, stop, ", ".join(dict.fromkeys(called)))
        case "check":
            return _Span(name, start, stop, _CHECKS, "of what was said")
        case _:
            return _Span(name, start, stop, _NOBODY, "between the tools and the next request", measured=False)


def _voice(course: Course, ready: float, stop: float, engine: str) -> Iterator[_Span]:
    """From a whole piece to the first of its sound."""
    if engine or ready >= stop:
        return
    first = next((body for _, body in course.steps if isinstance(body, SentenceReady) and body.index == course.piece), None)
    checked = next((at for at, body in course.steps if isinstance(body, SentenceChecked) and body.index == course.piece), ready)
    checked = min(max(checked, ready), stop)
    filler = first is not None and first.kind == "filler"
    voice = course.runs.get("tts", "voice")
    yield _Span("check", ready, checked, _CHECKS, "of what is to be said")
    yield _Span("filler" if filler else "first audio", checked, stop, voice, "the filler's first sound" if filler else "")


def _sounded(course: Course, sent: float, status: TurnStatus, engine: str) -> Iterator[_Span]:
    """From the first sound handed over to the first that could be heard."""
    name, owner = ("browser", "browser") if course.by_browser else ("playback", "transport")
    if course.first_s is None or course.heard_s is None:
        told = "nothing of its sound can be heard" if course.unheard else "nobody told when it was heard"
        why = told if course.settled and status != "running" else "not yet"
        yield _Span(name, sent, sent, owner, why, measured=False)
        return
    first = min(max(course.first_s, sent), course.heard_s)
    busy = [kept for kept in course.busy if kept[1] <= first]  # what ended later kept nothing from sounding
    yield from _carved(course, _Span(name, sent, first, owner, "from handing it over until it sounded"), busy)
    voice = engine or course.runs.get("tts", "voice")
    yield _Span("first audible sample", first, course.heard_s, voice, "silence at the beginning of its sound")


def _why_silent(course: Course, status: TurnStatus, engine: str) -> str:
    match status:
        case "running":
            return "not yet"
        case "offered":
            return "it is not answered"
        case "failed":
            return "the turn failed before anything sounded"
        case "interrupted":
            return "interrupted before anything sounded"
        case "completed":
            return "nothing was said" if engine or "tts" in course.runs else "the agent has no voice"


# --- what was kept by something else


def _carved(course: Course, span: _Span, busy: _Spells | None = None) -> Iterator[_Span]:
    """The span, and of it apart what the kernel did something else, and the answer stood at a breakpoint."""
    held = _overlap(course.held, span.start, span.stop)
    kept = min(_overlap(course.busy if busy is None else busy, span.start, span.stop), span.stop - span.start - held)
    edges = [span.start, span.stop - held - kept, span.stop - held, span.stop]
    yield replace(span, stop=edges[1])
    if kept > 0:
        yield _Span("kernel busy", edges[1], edges[2], "kernel", f"something else ran in it during {span.name}")
    if held > 0:
        yield _Span("breakpoint", edges[2], edges[3], "you", "the answer stood at a breakpoint")


def _overlap(spells: _Spells, start: float, stop: float) -> float:
    """For how long of [start, stop] any of the spells lasts."""
    total, reached = 0.0, start
    for spell in sorted(spells):
        begin, end = max(spell[0], reached), min(spell[1], stop)
        if end > begin:
            total, reached = total + end - begin, end
    return min(total, max(0.0, stop - start))


# --- the sum


def _cut(spans: Sequence[_Span], start: float, heard: float | None, since: str, why: str) -> Waterfall:
    """The spans as parts that follow each other. Their edges are rounded, not their lengths, so that they sum to the gap exactly."""
    parts: list[Part] = []
    at = 0.0
    for span in spans:
        stop = round(max(at, (span.stop - start) * 1000), _DIGITS)
        told_at_zero = not span.measured and span.name != UNEXPLAINED
        if stop > at or told_at_zero or span.name in _TOLD_AT_ZERO:
            before = parts[-1] if parts else None
            if before is not None and span.measured and (before.name, before.owner, before.measured) == (span.name, span.owner, True):
                parts[-1] = replace(before, duration_ms=round(stop - before.start_ms, _DIGITS))
            else:
                parts.append(Part(span.name, at, round(stop - at, _DIGITS), span.owner, span.detail, span.measured))
            at = stop
    if heard is None:
        return Waterfall(tuple(parts), None, None, since, why=why)
    gap = max(round((heard - start) * 1000, _DIGITS), at)
    if gap > at:
        parts.append(Part(UNEXPLAINED, at, round(gap - at, _DIGITS), _NOBODY, "at the end", measured=False))
    residual = sum(part.duration_ms for part in parts if part.name == UNEXPLAINED)
    return Waterfall(tuple(parts), gap, round(residual, _DIGITS), since, why=why)
