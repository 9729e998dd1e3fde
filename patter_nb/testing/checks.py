"""What can be asked of turns: pure functions, each from turns to None, or to what was there instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from patter_nb.errors import PatterConfigError, PatterError
from patter_nb.events import TurnStatus
from patter_nb.turn import ToolCall, Turn

Finding: TypeAlias = str | None
"""What was there instead, or None where all is as expected."""
Find: TypeAlias = Callable[[Sequence[Turn]], Finding]
Wanted: TypeAlias = str | re.Pattern[str]

LATENCIES: Final = ("response", "endpointing", "stt", "llm_first_token", "tools", "tts_first_audio", "filler", "playback")
"""What `Turn.latency` may hold."""


def tool_called(name: str, arguments: Mapping[str, Any]) -> Find:
    """A call of that name that has at least these arguments."""

    def find(turns: Sequence[Turn]) -> Finding:
        called = [call for turn in turns for call in turn.tool_calls if call.name == name]
        if any(_fits(call, arguments) for call in called):
            return None
        if called:
            return f"it was called with {' and with '.join(_written(call) for call in called)}"
        return _others(turns)

    return find


def no_tool_called(name: str | None) -> Find:
    """No call of that name, or none at all."""

    def find(turns: Sequence[Turn]) -> Finding:
        called = [call for turn in turns for call in turn.tool_calls if name in (None, call.name)]
        return f"it called {', '.join(f'{call.name}({_written(call)})' for call in called)}" if called else None

    return find


def text_has(wanted: Sequence[Wanted], text_of: Callable[[Turn], str | None], verb: str) -> Find:
    """Each of `wanted` is in the text, which is None where it is not known yet."""

    def find(turns: Sequence[Turn]) -> Finding:
        texts = [text_of(turn) for turn in turns]
        whole = "\n".join(text for text in texts if text is not None)
        missing = [one for one in wanted if not is_in(one, whole)]
        if not missing:
            return None
        if None in texts:
            return "how much was heard is not known before playback has ended: await session.wait_turn()"
        return f"it {verb} {whole!r}, without {' and '.join(map(written, missing))}" if whole else f"it {verb} nothing"

    return find


def text_lacks(unwanted: Sequence[Wanted]) -> Find:
    """None of `unwanted` is in what the agent said."""

    def find(turns: Sequence[Turn]) -> Finding:
        whole = "\n".join(turn.agent_text for turn in turns)
        found = [one for one in unwanted if is_in(one, whole)]
        return f"it said {whole!r}, with {' and '.join(map(written, found))}" if found else None

    return find


def has_status(status: TurnStatus) -> Find:
    """Each turn has it."""
    return lambda turns: next((f"turn {turn.id} is {turn.status}" for turn in turns if turn.status != status), None)


def has_failed(kind: type[BaseException]) -> Find:
    """A turn failed, by an error of this kind."""

    def find(turns: Sequence[Turn]) -> Finding:
        if any(turn.status == "failed" and isinstance(turn.error, kind) for turn in turns):
            return None
        errors = [f"{type(turn.error).__name__}: {turn.error}" for turn in turns if turn.error is not None]
        return f"it failed with {', '.join(errors)}" if errors else "it did not fail"

    return find


def is_answered(turns: Sequence[Turn]) -> Finding:
    """No turn failed, is still running, or waits to be accepted: of such a turn, that it did not say something means nothing."""
    for turn in turns:
        if turn.status == "failed":
            return f"turn {turn.id} failed with {type(turn.error).__name__}"
        if turn.status in ("running", "offered"):
            return f"turn {turn.id} is {turn.status}"
    return None


def was_within(limits_ms: Mapping[str, float]) -> Find:
    """Each of these latencies was measured in each turn, and is not above its limit."""

    def find(turns: Sequence[Turn]) -> Finding:
        for turn in turns:
            for name, limit_ms in limits_ms.items():
                took_ms = turn.latency.get(name)
                if took_ms is None:
                    measured = ", ".join(turn.latency) or "nothing"
                    return f"{name} was not measured in turn {turn.id}{_why_not(turn, name)} ({measured} was)"
                if took_ms > limit_ms:
                    return f"{name} took {took_ms:g} ms in turn {turn.id}"
        return None

    return find


def _why_not(turn: Turn, name: str) -> str:
    """Why the waterfall has no such figure, if it says so."""
    fall = turn.waterfall
    why = fall.why if name == "response" else next((part.detail for part in fall.parts if part.name == name and not part.measured), "")
    return f": {why}" if why else ""


def was_provider(name: str, model: str | None) -> Find:
    """Each turn was answered by it."""

    def find(turns: Sequence[Turn]) -> Finding:
        for turn in turns:
            if turn.provider != name or model not in (None, turn.model):
                return f"turn {turn.id} was answered by {turn.provider or 'nobody'} {turn.model or ''}".rstrip()
        return None

    return find


def is_in(wanted: Wanted, text: str) -> bool:
    """Whether a pattern is found, or a text is in it: in any case, with any white space; a number is not part of a longer one.

    >>> is_in("18", "It is 18°."), is_in("18", "It is 118°."), is_in("18", "It is 18.5°.")
    (True, False, False)
    """
    if isinstance(wanted, re.Pattern):
        return wanted.search(text) is not None
    words = r"\s+".join(re.escape(word) for word in wanted.casefold().split())
    before = r"(?<!\d)(?<!\d[.,])" if wanted.strip()[0].isdigit() else ""
    after = r"(?![.,]?\d)" if wanted.strip()[-1].isdigit() else ""
    return re.search(before + words + after, text.casefold()) is not None


def texts(verb: str, wanted: Iterable[Wanted]) -> tuple[Wanted, ...]:
    """`wanted`, if it is something to look for. Raises `PatterConfigError`: no text is everywhere, and everything else nowhere."""
    found = tuple(wanted)
    if not found or not all(isinstance(one, re.Pattern) or (isinstance(one, str) and one.strip()) for one in found):
        raise PatterConfigError(f"{verb}() looks for text.", hint=f'For example {verb}("18"), or {verb}(re.compile(r"1[89]")).')
    return found


def written(value: object) -> str:
    """A value as the test wrote it, or nearly."""
    match value:
        case re.Pattern():
            return f"re.compile({value.pattern!r})"
        case type():
            return value.__name__
        case _ if callable(value):
            name = getattr(value, "__name__", "")  # a function has one, another callable may not
            return name if name and name != "<lambda>" else "<predicate>"
        case _:
            return repr(value)


def _fits(call: ToolCall, wanted: Mapping[str, Any]) -> bool:
    if isinstance(call.arguments, str):
        return not wanted
    return all(name in call.arguments and _matches(call.arguments[name], value) for name, value in wanted.items())


def _matches(given: object, wanted: object) -> bool:
    match wanted:
        case re.Pattern():
            return wanted.search(given if isinstance(given, str) else repr(given)) is not None
        case type():
            return isinstance(given, wanted)
        case _ if callable(wanted):
            return bool(wanted(given))
        case _:
            return given == wanted and isinstance(given, bool) == isinstance(wanted, bool)


def _written(call: ToolCall) -> str:
    if isinstance(call.arguments, str):
        return repr(call.arguments)
    return ", ".join(f"{name}={value!r}" for name, value in call.arguments.items()) or "no arguments"


def _others(turns: Sequence[Turn]) -> str:
    names = dict.fromkeys(call.name for turn in turns for call in turn.tool_calls)
    return f"only {', '.join(names)} was called" if names else "no tool was called"


def error_kind(kind: object) -> type[BaseException]:
    """`kind`, if a turn can fail by it."""
    if isinstance(kind, type) and issubclass(kind, PatterError):
        return kind
    raise PatterConfigError(f"failed() was given {kind!r:.80}.", hint="Pass a kind of PatterError, for example failed(RateLimitError).")
