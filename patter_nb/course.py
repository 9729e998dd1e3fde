"""What of the log tells where the time of a turn went, kept for each turn: a fold of its own beside that of the turns.

The gap runs from the person's last voice, as their microphone captured it, to the first sound of the agent that can be heard, as their
loudspeaker gave it. Both ends lie outside the session: events say how long before them it was.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from patter_nb.events import (
    AgentChanged,
    AudioSent,
    Body,
    BreakpointHit,
    BreakpointLeft,
    Event,
    InputChecked,
    KernelBusy,
    ListenerChanged,
    LLMChunked,
    LLMRequested,
    PlaybackStarted,
    PreemptiveDropped,
    PreemptiveStarted,
    SentenceChecked,
    SentenceReady,
    SessionStarted,
    SpeechEnded,
    SpeechStarted,
    SpeechStopped,
    ToolCalled,
    ToolEnded,
    TranscriptFinal,
    TurnAccepted,
    TurnEnded,
    TurnHeard,
    TurnSource,
    TurnStarted,
    UtteranceDropped,
)

__all__ = ["Course", "Courses", "Spoke"]

_STAGES: Final = ("stt", "llm", "tts", "engine")
_BUSY_KEPT: Final = 50
_STEPS: Final = (InputChecked, LLMRequested, ToolCalled, ToolEnded, SentenceReady, SentenceChecked)
_WORDS: Final = ("text", "reasoning", "tool_call")


@dataclass(slots=True)
class Spoke:
    """What the person said last: their last voice was at `voice_s`; `ended` is when they were taken to have finished, and why.

    All times are seconds of the session's wall, as `Event.wall_s` is.
    """

    voice_s: float
    words_s: float | None = None
    ended: tuple[float, SpeechEnded] | None = None


@dataclass(slots=True)
class Course:
    """The stations of one turn, in wall seconds. `runs` names what ran in each stage; `steps` are the events that tell what was waited for;
    `busy` and `held` are when the kernel did something else, and when the answer stood at a breakpoint. `unpaced`: the person's sound ran
    faster than real time, so that the wall tells nothing of what was before the turn began.

    `sent_s` is when its first sound was handed over, of piece `piece`; `first_s` when that sounded, and `heard_s` when it could be heard,
    both None where nobody told.
    """

    runs: dict[str, str] = field(default_factory=dict)
    rate: int | None = None
    unpaced: bool = False
    source: TurnSource = "typed"
    since_s: float = 0.0
    accepted: bool = False
    early_s: float | None = None
    spoke: Spoke | None = None
    steps: list[tuple[float, Body]] = field(default_factory=list)
    busy: list[tuple[float, float]] = field(default_factory=list)
    held: list[tuple[float, float]] = field(default_factory=list)
    sent_s: float | None = None
    piece: int | None = None
    first_s: float | None = None
    heard_s: float | None = None
    by_browser: bool = False
    """Whether it was played by a page that came to listen."""
    over_s: float | None = None
    settled: bool = False
    _start: int = 0
    _audible: tuple[float, int] | None = None
    _played: tuple[float, PlaybackStarted] | None = None
    _answered: bool = False
    _held_s: float | None = None

    @property
    def unheard(self) -> bool:
        """Whether it sounds, and nothing of that can be heard."""
        return self._played is not None and self._audible is None

    def take(self, body: Body, now_s: float) -> None:
        """Take in one event of the turn. What comes when it was heard has no share in the gap."""
        match body:
            case TurnEnded():
                self.over_s = now_s
            case TurnHeard():
                self.settled = True
            case _ if self.heard_s is not None:
                pass
            case BreakpointHit():
                self._held_s = now_s
            case BreakpointLeft() if self._held_s is not None:
                self.held.append((self._held_s, now_s))
                self._held_s = None
            case LLMChunked(chunk=chunk):
                if chunk.type in _WORDS and not self._answered:
                    self._answered = True
                    self.steps.append((now_s, body))
            case AudioSent() | PlaybackStarted():
                self._sound(body, now_s)
            case _ if isinstance(body, _STEPS):
                self._answered = self._answered and not isinstance(body, LLMRequested)
                self.steps.append((now_s, body))

    def _sound(self, body: AudioSent | PlaybackStarted, now_s: float) -> None:
        if isinstance(body, PlaybackStarted):
            self._played = self._played or (now_s, body)
        else:
            if self.sent_s is None:
                self.sent_s, self.piece, self._start = now_s, body.index, body.start
            if self._audible is None and (body.quiet < body.stop - body.start or body.stop == body.start):
                self._audible = (now_s, body.start + body.quiet)
        if self._played is not None and self._audible is not None and self.sent_s is not None:
            self._locate(self.sent_s, *self._audible, *self._played)

    def _locate(self, sent_s: float, audible_s: float, audible: int, played_s: float, played: PlaybackStarted) -> None:
        """Where its first sound, and the first that can be heard, lie in time: so many samples from the one that the cursor told of."""
        if played.ago_ms is None:
            return
        first_s = played_s - played.ago_ms / 1000 - self._seconds(played.position - self._start)
        self.first_s = max(sent_s, first_s)
        on_its_way_s = self.first_s - sent_s
        self.heard_s = max(self.first_s + self._seconds(audible - self._start), audible_s + on_its_way_s)

    def _seconds(self, samples: int) -> float:
        return samples / self.rate if self.rate else 0.0


class Courses:
    """The course of every turn, folded from the log."""

    def __init__(self) -> None:
        self._courses: dict[int, Course] = {}
        self._early: tuple[int, Course] | None = None
        self._runs: dict[str, str] = {}
        self._rate: int | None = None
        self._unpaced = False
        self._browser = False
        self._spoke: Spoke | None = None
        self._busy: deque[tuple[float, float]] = deque(maxlen=_BUSY_KEPT)

    def of(self, turn: int) -> Course:
        """The course of a turn that has begun."""
        return self._courses[turn]

    def fold(self, event: Event) -> None:
        """Take in one more event."""
        now_s = event.wall_s
        match event.body:
            case SessionStarted(parts, rate, unpaced):
                self._runs, self._rate, self._unpaced = dict(parts), rate, unpaced
            case AgentChanged():
                self._change(event.body)
            case ListenerChanged(listens):
                self._browser = listens
            case KernelBusy(ms):
                self._kept(now_s - ms / 1000, now_s)
            case SpeechStarted() | SpeechStopped() | SpeechEnded() | TranscriptFinal() | UtteranceDropped():
                self._hear(event.body, now_s)
            case _ if event.turn is not None:
                self._go_on(event.turn, event.body, now_s)

    def _change(self, body: AgentChanged) -> None:
        self._runs = {**self._runs, **{name: after for name, (_, after) in body.changes.items() if name in _STAGES and after != "None"}}
        for name, (_, after) in body.changes.items():
            if after == "None":
                self._runs.pop(name, None)
        if body.when == "now":
            for course in self._open():
                course.runs = self._runs

    def _new(self, **known: Any) -> Course:
        return Course(self._runs, self._rate, self._unpaced, **known)

    def _open(self) -> list[Course]:
        """Those that somebody still waits for, or hears."""
        early = [self._early[1]] if self._early is not None else []
        return [course for course in [*self._courses.values()][-3:] if not course.settled] + early

    def _kept(self, start_s: float, stop_s: float) -> None:
        self._busy.append((start_s, stop_s))
        for course in self._open():
            course.busy.append((start_s, stop_s))

    def _hear(self, body: Body, now_s: float) -> None:
        match body:
            case SpeechStarted() | UtteranceDropped():
                self._spoke = None
            case SpeechStopped(silence_ms=silence_ms, late_ms=late_ms):
                self._spoke = Spoke(now_s - (silence_ms + late_ms) / 1000)
            case SpeechEnded(silence_ms=silence_ms, late_ms=late_ms):
                spoke = self._spoke or Spoke(now_s - ((silence_ms or 0.0) + late_ms) / 1000)
                spoke.ended, self._spoke = (now_s, body), spoke
            case TranscriptFinal():
                if self._spoke is not None:
                    self._spoke.words_s = now_s

    def _go_on(self, number: int, body: Body, now_s: float) -> None:
        early = self._early[1] if self._early is not None and self._early[0] == number else None
        match body:
            case PreemptiveStarted():
                self._early = (number, self._new(early_s=now_s))
            case PreemptiveDropped():
                self._early = None
            case TurnStarted(source):
                course = early or self._new()
                course.source, course.since_s = source, now_s
                if source == "speech":
                    course.spoke, self._spoke = self._spoke, None
                    since_s = now_s if course.spoke is None else course.spoke.voice_s
                    course.busy = [kept for kept in self._busy if kept[1] > since_s]
                self._courses[number], self._early = course, None
            case TurnAccepted():
                self._courses[number] = self._new(source="speech", since_s=now_s, accepted=True)
            case _:
                going = early or self._courses.get(number)  # None: of an answer that was begun early and thrown away
                if going is not None:
                    going.by_browser = self._browser if going.heard_s is None else going.by_browser
                    going.take(body, now_s)
