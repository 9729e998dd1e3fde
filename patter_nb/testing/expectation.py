"""What a test expects of a turn, in one sentence: `await expect(turn).tool_called("get_weather", city="Rome").said("18")`."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar, cast, overload

from patter_nb.errors import PatterConfigError, PatterError
from patter_nb.keywords import reject_unknown
from patter_nb.llm.base import LLMProvider
from patter_nb.testing import checks
from patter_nb.testing.checks import Find, Wanted, written
from patter_nb.testing.judging import AT_LEAST, HasTurns, check_question, judge
from patter_nb.turn import Turn

Subject = TypeVar("Subject", bound="Turn | HasTurns")


@dataclass(frozen=True, slots=True)
class _Check:
    """`told` is how the test said it. It is asked of turn number `turn`, None for all; by `find`, or else by the judge."""

    told: str
    turn: int | None
    find: Find | None = None
    judge: tuple[LLMProvider, str, float] | None = None
    failing: bool = False


@dataclass(frozen=True, slots=True)
class _These:
    turns: tuple[Turn, ...]


@overload
def expect(subject: Awaitable[Subject]) -> Expectation[Subject]: ...
@overload
def expect(subject: Subject) -> Expectation[Subject]: ...
def expect(subject: Any) -> Expectation[Any]:
    """What is expected of a turn, of a session or of a conversation with a `Caller`; or of one that is awaited first.

    Nothing is looked at before it is awaited, which gives the subject back; one that is never awaited is warned of, as a coroutine is.
    All that was not as expected is told at once, with what was observed, in one `AssertionError`; a judge is asked last, and only if
    everything else holds. Of a session, tools and words may be in any turn, and a state holds for each; `turn(2)` is the second alone.

    A turn that failed, or still runs, meets no expectation unless one of them is `failed`: of silence, anything could be said.

    >>> turn = await expect(session.ask("How warm is it in Rome?")).tool_called("get_weather", city="Rome").said("18")  # doctest: +SKIP
    """
    return Expectation(subject)


class Expectation(Generic[Subject]):
    """What `expect` gives. Each method adds one thing that is expected, and gives the same expectation again."""

    def __init__(self, subject: Subject | Awaitable[Subject]) -> None:
        if not isinstance(subject, Awaitable):
            _turns_of(subject)
        self._checks: list[_Check] = []
        self._turn: int | None = None
        self._work: Coroutine[Any, Any, Subject] = _settle(subject, self._checks)
        self._work.__qualname__ = "expect"  # type: ignore[attr-defined]  # named in the warning, if nobody awaits it

    def __await__(self) -> Generator[Any, Any, Subject]:
        return self._work.__await__()

    def turn(self, number: int) -> Self:
        """What follows is expected of this turn alone: from 1, or from -1 for the last."""
        if isinstance(number, bool) or not isinstance(number, int) or number == 0:
            raise PatterConfigError(f"There is no turn {number!r}.", hint="Turns count from 1; the last is -1.")
        self._turn = number
        return self

    def tool_called(self, name: str, /, **arguments: Any) -> Self:
        """The tool was called, with at least these arguments. A pattern is searched for, a type or a predicate asked, all else compared."""
        told = ", ".join((repr(name), *(f"{key}={written(value)}" for key, value in arguments.items())))
        return self._expect(f"tool_called({told})", checks.tool_called(name, arguments))

    def no_tool_called(self, name: str | None = None) -> Self:
        """This tool was not called, or none at all."""
        return self._expect(f"no_tool_called({'' if name is None else repr(name)})", checks.no_tool_called(name))

    def said(self, *wanted: Wanted) -> Self:
        """The agent said each of these, in any case: text, or a compiled pattern. A number is not found within a longer one."""
        found = checks.texts("said", wanted)
        return self._expect(_told("said", found), checks.text_has(found, lambda turn: turn.agent_text, "said"))

    def not_said(self, *unwanted: Wanted) -> Self:
        """The agent said none of these."""
        found = checks.texts("not_said", unwanted)
        return self._expect(_told("not_said", found), checks.text_lacks(found))

    def heard(self, *wanted: Wanted) -> Self:
        """The person heard the agent say each of these. That is known once playback has ended."""
        found = checks.texts("heard", wanted)
        find = checks.text_has(found, lambda turn: turn.heard_text if turn.is_settled else None, "was heard to say")
        return self._expect(_told("heard", found), find)

    def completed(self) -> Self:
        """The answer is complete, and nobody interrupted it."""
        return self._expect("completed()", checks.has_status("completed"))

    def interrupted(self) -> Self:
        """The person interrupted the answer."""
        return self._expect("interrupted()", checks.has_status("interrupted"))

    def failed(self, kind: type[PatterError] = PatterError) -> Self:
        """The turn failed, by an error of this kind."""
        find = checks.has_failed(checks.error_kind(kind))
        self._checks.append(_Check(f"failed({kind.__name__})", self._turn, find, failing=True))
        return self

    def within(self, **limits_ms: float) -> Self:
        """Each took at most so many milliseconds by the log: `response_ms=`, `llm_first_token_ms=`, and so on for all of `Turn.latency`."""
        reject_unknown("within", limits_ms, [f"{name}_ms" for name in checks.LATENCIES])
        if not limits_ms or not all(isinstance(limit, (int, float)) and math.isfinite(limit) for limit in limits_ms.values()):
            raise PatterConfigError(f"within() was given {limits_ms!r:.80}.", hint="Pass milliseconds: within(response_ms=800).")
        told = ", ".join(f"{name}={limit_ms!r}" for name, limit_ms in limits_ms.items())
        limits = {name.removesuffix("_ms"): limit_ms for name, limit_ms in limits_ms.items()}
        return self._expect(f"within({told})", checks.was_within(limits))

    def provider(self, name: str, model: str | None = None) -> Self:
        """This provider answered, with this model."""
        told = repr(name) if model is None else f"{name!r}, {model!r}"
        return self._expect(f"provider({told})", checks.was_provider(name, model))

    def judge(self, llm: LLMProvider, rubric: str, *, at_least: float = AT_LEAST) -> Self:
        """A language model gives a score from 0 to 1 for how well this meets `rubric`, and that is `at_least` so much: see `judge`."""
        check_question(rubric, at_least)
        self._checks.append(_Check(f"judge({rubric!r:.160}, at_least={at_least:g})", self._turn, judge=(llm, rubric, at_least)))
        return self

    def _expect(self, told: str, find: Find) -> Self:
        self._checks.append(_Check(told, self._turn, find))
        return self


async def _settle(subject: Any, expected: Sequence[_Check]) -> Any:
    """The subject, if it is as expected. Of the expectation this knows the list alone, so that one that nobody awaits goes at once."""
    __tracebackhide__ = True
    given = await subject if isinstance(subject, Awaitable) else subject
    turns = _turns_of(given)
    if not expected:
        raise PatterConfigError("Nothing is expected.", hint='For example await expect(turn).said("18").')
    wrong = [(check.told, instead) for check in expected if (instead := _found(check, turns)) is not None]
    excused = {turn.id for check in expected if check.failing for turn in _viewed(turns, check.turn) or ()}
    looked_at = {turn.id: turn for check in expected for turn in _viewed(turns, check.turn) or () if turn.id not in excused}
    unanswered = checks.is_answered(tuple(looked_at.values()))
    if unanswered is not None:
        wrong.insert(0, ("an answer", unanswered))
    for check in expected if not wrong else ():
        if check.judge is not None:
            llm, rubric, at_least = check.judge
            verdict = await judge(llm, _These(_viewed(turns, check.turn) or ()), rubric, at_least=at_least)
            wrong += [] if verdict.passed else [(check.told, f"it scored {verdict.score:g}: {verdict.reason}")]
    if wrong:
        raise AssertionError(_report(wrong, turns))
    return given


def _found(check: _Check, turns: Sequence[Turn]) -> str | None:
    viewed = _viewed(turns, check.turn)
    if viewed is None:
        return "there is no turn" if check.turn is None else f"there is no turn {check.turn}, only {len(turns)} of them"
    return check.find(viewed) if check.find is not None else None


def _viewed(turns: Sequence[Turn], number: int | None) -> tuple[Turn, ...] | None:
    if number is None:
        return tuple(turns) or None
    place = number - 1 if number > 0 else number + len(turns)
    return (turns[place],) if 0 <= place < len(turns) else None


def _turns_of(subject: object) -> Sequence[Turn]:
    if isinstance(subject, Turn):
        return (subject,)
    turns = getattr(subject, "turns", None)  # a session, a conversation, or one's own
    if isinstance(turns, Sequence) and not isinstance(turns, str):
        return cast("Sequence[Turn]", turns)
    raise PatterConfigError(
        f"expect() was given {type(subject).__name__}, which has no turns.", hint="Pass a Turn, a Session or a Conversation."
    )


def _report(wrong: Sequence[tuple[str, str]], turns: Sequence[Turn]) -> str:
    from patter_nb.display.turn import turn_text, turns_text

    lines = [line for told, instead in wrong for line in (f"expected  {told}", f"but       {instead}")]
    return "\n".join((*lines, "", turn_text(turns[0]) if len(turns) == 1 else turns_text(turns)))


def _told(verb: str, wanted: Sequence[Wanted]) -> str:
    return f"{verb}({', '.join(map(written, wanted))})"
