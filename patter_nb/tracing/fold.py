"""The log as spans: a fold, event by event, that begins and ends them.

    conversation              the session
      speech_to_text          speech that became no turn
      discarded_answer        an answer that was begun early, and thrown away
      invoke_agent            a turn
        speech_to_text, endpointing, chat {model}, execute_tool {name}, text_to_speech, playback

A turn begins with the person's first voice. What is told when its span has ended (what an engine used, say) is an event of the
conversation.
"""

from __future__ import annotations

from dataclasses import replace

from patter_nb.events import (
    AgentChanged,
    Breakpoint,
    BreakpointsSet,
    Event,
    ListenerChanged,
    LLMChunked,
    MicrophoneMuted,
    PersonHungUp,
    PreemptiveDropped,
    PreemptiveStarted,
    SessionStarted,
    SessionStopped,
    SpeechStarted,
    SpeechStopped,
    SpeechUsed,
    StageFailed,
    StateChanged,
    TranscriptFinal,
    TranscriptPartial,
    TurnAccepted,
    TurnHeard,
    TurnJudged,
    TurnOffered,
    TurnStarted,
    UtteranceDropped,
)
from patter_nb.tracing import chat, names
from patter_nb.tracing.hearing import Heard, Utterance, hear, speech
from patter_nb.tracing.span import Value
from patter_nb.tracing.tree import Growing, Tree, Watcher
from patter_nb.tracing.turn import TurnSpans
from patter_nb.turns import Turns

__all__ = ["Fold"]


class Fold:
    """Makes spans of a session's events, and tells `watcher` of them.

    `began_ns` is when the session began, in nanoseconds since 1970. With `capture_content` attributes hold what was said, and what tools
    were given and gave back.
    """

    def __init__(self, name: str, began_ns: int, watcher: Watcher, *, capture_content: bool = False) -> None:
        self._name = name
        self._conversation = f"{name}-{began_ns:x}"
        self._tree = Tree(began_ns, watcher, capture_content=capture_content)
        self._turns = Turns()
        self._points: tuple[Breakpoint, ...] = ()
        self._root: Growing | None = None
        self._rate = 1
        self._open: dict[int, TurnSpans] = {}
        self._said: Utterance | None = None
        self._heard: Heard | None = None
        self._early: list[Event] = []
        self._failure: StageFailed | None = None

    def fold(self, event: Event) -> None:
        """Take in one more event. Its time is taken as it is saved, to the microsecond, so that a saved log gives the same spans."""
        event = replace(event, wall_s=round(event.wall_s, 6))
        self._turns.fold(event)
        match event.body:
            case SessionStarted():
                self._begin(event.body, event.wall_s)
            case StateChanged():
                pass
            case BreakpointsSet(points):
                self._points = points
            case _ if self._root is not None and self._root.end_ns is None:
                self._take(self._root, event)

    def _begin(self, body: SessionStarted, at_s: float) -> None:
        self._rate = body.sample_rate
        known: dict[str, Value | None] = {names.CONVERSATION: self._conversation, "patter.session": self._name}
        known |= {f"patter.part.{part}": what for part, what in body.parts.items()}
        self._root = self._tree.start(None, "conversation", at_s, known)

    def _take(self, root: Growing, event: Event) -> None:
        self._end_heard(event)
        match event.body:
            case SpeechStarted() | SpeechStopped() | TranscriptPartial() | TranscriptFinal() | TurnJudged() | UtteranceDropped():
                self._fold_person(root, event)
            case PreemptiveStarted() | PreemptiveDropped():
                self._fold_early(root, event)
            case TurnStarted() | TurnAccepted() | TurnOffered() | TurnHeard():
                self._fold_turn(root, event)
            case SessionStopped():
                self._stop(root, event.body, event.wall_s)
            case AgentChanged() | MicrophoneMuted() | ListenerChanged() | PersonHungUp():
                self._mark(root, event)
            case _ if self._early and event.turn == self._early[0].turn:
                self._early.append(event)
            case _:
                self._fold_answer(root, event)

    # --- the person

    def _fold_person(self, root: Growing, event: Event) -> None:
        said, now = self._said, event.wall_s
        match event.body:
            case SpeechStarted() if said is None:
                self._said = Utterance(now)
            case SpeechStopped(silence_ms=silence_ms) if said is not None:
                said.last_voice_s = now - silence_ms / 1000
            case TranscriptFinal(text) if said is not None:
                said.words_s = now
                said.words.append(text)
            case TurnJudged(probability=probability) if said is not None:
                said.judged.append((now, probability))
            case UtteranceDropped(reason=reason):
                self._drop(root, reason, now)

    def _drop(self, root: Growing, reason: str, now: float) -> None:
        if self._said is None:
            self._tree.mark(root, "utterance_dropped", now, {"patter.reason": reason})
        else:
            self._heard, self._said = hear(self._tree, root, self._said, now, dropped=reason), None

    def _end_heard(self, event: Event) -> None:
        """What speech to text cost, and that it failed, is told right after the words became something: till then its span is open."""
        told_of_it = isinstance(event.body, (SpeechUsed, StageFailed)) and event.body.stage == "stt"
        if self._heard is not None and not told_of_it:
            self._heard.end(self._tree)
            self._heard = None

    # --- turns

    def _fold_turn(self, root: Growing, event: Event) -> None:
        assert event.turn is not None
        match event.body:
            case TurnStarted(source):
                self._start_turn(root, event, event.turn, source)
            case TurnAccepted():
                self._open[event.turn] = self._invoked(root, event.turn, "speech", event.wall_s)
            case TurnOffered(late_ms=late_ms):
                turn = self._open[event.turn]
                self._tree.mark(turn.span, event.type, event.wall_s, {"patter.late_ms": late_ms})
                self._end_turn(event.turn, event.wall_s)
            case TurnHeard():
                self._open[event.turn].fold(event.body, event.wall_s)
                self._end_turn(event.turn, event.wall_s)

    def _start_turn(self, root: Growing, event: Event, number: int, source: str) -> None:
        early, self._early = self._early, []
        said = self._said if source == "speech" else None
        begins = [event.wall_s, *(one.wall_s for one in early[:1]), *([said.since_s] if said is not None else [])]
        turn = self._open[number] = self._invoked(root, number, source, min(begins))
        if said is not None:
            self._heard, self._said = hear(self._tree, turn.span, said, event.wall_s), None
        for before in early:
            turn.fold(before.body, before.wall_s)

    def _invoked(self, root: Growing, number: int, source: str, at_s: float) -> TurnSpans:
        known: dict[str, Value | None] = {
            names.OPERATION: names.INVOKE_AGENT,
            names.CONVERSATION: self._conversation,
            "patter.turn.id": number,
            "patter.turn.source": source,
        }
        return TurnSpans(self._tree, self._tree.start(root, names.INVOKE_AGENT, at_s, known), self._rate)

    def _end_turn(self, number: int, at_s: float) -> None:
        if self._heard is not None:
            self._heard.end(self._tree)
            self._heard = None
        self._open.pop(number).close(self._turns.by_id(number), at_s)

    def _fold_early(self, root: Growing, event: Event) -> None:
        if isinstance(event.body, PreemptiveStarted):
            self._early = [event]
        elif isinstance(event.body, PreemptiveDropped):
            self._discard(root, event.body.reason, event.wall_s)

    def _discard(self, root: Growing, reason: str, at_s: float) -> None:
        early, self._early = self._early, []
        if early:
            known: dict[str, Value | None] = {"patter.dropped": reason, names.CONVERSATION: self._conversation}
            span = self._tree.start(root, "discarded_answer", early[0].wall_s, known)
            answer = TurnSpans(self._tree, span, self._rate)
            for event in early:
                answer.fold(event.body, event.wall_s)
            answer.count_untold()
            answer.discard(at_s)

    def _fold_answer(self, root: Growing, event: Event) -> None:
        turn = self._open.get(event.turn) if event.turn is not None else None
        if isinstance(event.body, SpeechUsed) and event.body.stage == "stt":
            self._book(root, event)
            return
        if isinstance(event.body, StageFailed) and event.body.stage == "stt":
            self._fail_hearing(root, event.body, event.wall_s)
        if turn is None or not turn.fold(event.body, event.wall_s, self._points):
            self._mark(root, event)

    def _book(self, root: Growing, event: Event) -> None:
        assert isinstance(event.body, SpeechUsed)
        if self._said is not None:
            self._said.used.append(event.body)
        elif self._heard is not None:
            self._heard.take(event.body)
        else:
            self._mark(root, event)

    def _fail_hearing(self, root: Growing, body: StageFailed, now: float) -> None:
        if self._heard is None and self._said is not None:
            self._drop(root, "speech-to-text failed", now)
        if self._heard is not None:
            self._tree.fail(self._heard.span, type(body.error).__name__, body.error.message)

    # --- the conversation

    def _mark(self, root: Growing, event: Event) -> None:
        """What belongs to no turn, or comes when its turn is over."""
        told: dict[str, Value | None] = {"patter.turn.id": event.turn}
        match event.body:
            case StageFailed(stage, error):
                self._failure = event.body
                told |= {"patter.stage": stage, names.ERROR: type(error).__name__, "patter.error.status": error.status}
            case SpeechUsed():
                told |= speech([event.body])
            case LLMChunked(chunk=chunk) if chunk.type == "usage":
                told |= chat.usage(chunk)
            case AgentChanged(changes, when):
                told |= {"patter.agent.changed": tuple(changes), "patter.agent.when": when}
            case MicrophoneMuted(muted=flag) | ListenerChanged(listens=flag):
                told |= {"patter.on": flag}
            case PersonHungUp():
                pass
            case _:
                return
        self._tree.mark(root, event.type, event.wall_s, told)

    def _stop(self, root: Growing, body: SessionStopped, at_s: float) -> None:
        self._discard(root, body.reason, at_s)
        if self._said is not None:
            hear(self._tree, root, self._said, at_s, dropped=body.reason).end(self._tree)
        for number in tuple(self._open):
            self._end_turn(number, at_s)
        self._tree.tell(root, {"patter.reason": body.reason})
        if self._failure is not None and body.reason == "it failed":  # as the conductor ends a session that it cannot go on with
            self._tree.fail(root, type(self._failure.error).__name__, self._failure.error.message)
        self._tree.end(root, at_s)
