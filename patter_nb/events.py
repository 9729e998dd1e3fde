"""The closed list of what can happen in a session, and its wire form: one small frozen value each, numbered and stamped in the log.

An event is either something that came from outside (a transcript, a chunk, a tool's result) or what the step function made
of it (a turn began, a sentence is to be spoken). Sound and per-frame values lie in arrays beside the log; events refer to
them by sample position: `*_sample` counts captured samples at 16 kHz, `start` and `stop` count the output axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, TypeAlias

from patter_nb.errors import AllProvidersFailed, PatterError, RateLimitError, TruncatedStream
from patter_nb.llm.base import LLMChunk, Message
from patter_nb.stt.base import Word

Stage: TypeAlias = Literal[
    "vad", "turn_detector", "stt", "llm", "engine", "tool", "tts", "guardrail", "hook", "transform", "transport", "session"
]
TurnSource: TypeAlias = Literal["speech", "typed", "say", "greeting"]
TurnStatus: TypeAlias = Literal["running", "completed", "interrupted", "failed", "offered"]
ToolStatus: TypeAlias = Literal["running", "completed", "failed", "cancelled"]
Breakpoint: TypeAlias = Literal["llm_request", "tool_call", "speak"]
SentenceKind: TypeAlias = Literal["answer", "filler", "apology"]
SessionState: TypeAlias = Literal["starting", "ready", "listening", "thinking", "calling", "speaking", "paused", "stopped"]


_MAY_BE_LEFT_OUT: Mapping[str, bool] = {"left_out_when_empty": True}


class Body:
    """What one event says. `type` is its name on the wire."""

    __slots__ = ()
    type: ClassVar[str]


@dataclass(frozen=True, slots=True)
class SessionStarted(Body):
    """The session is live. `parts` names what runs in each stage, `sample_rate` is the output axis's, in Hz."""

    type: ClassVar[str] = "session_started"
    parts: Mapping[str, str]
    sample_rate: int


@dataclass(frozen=True, slots=True)
class SessionStopped(Body):
    """The session is over. `dropped` counts what arrived from a cancelled epoch and was thrown away."""

    type: ClassVar[str] = "session_stopped"
    reason: str
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class StateChanged(Body):
    """One word for what the agent does now."""

    type: ClassVar[str] = "state_changed"
    state: SessionState


@dataclass(frozen=True, slots=True)
class AgentChanged(Body):
    """Parts of the agent were replaced: name of the part -> (before, after), as text that never holds a key."""

    type: ClassVar[str] = "agent_changed"
    changes: Mapping[str, tuple[str, str]]
    when: Literal["turn", "now"]


@dataclass(frozen=True, slots=True)
class StageFailed(Body):
    """A stage failed. A turn that needs it ends, and its `turn_ended` says so; the session goes on unless a `session_stopped` follows."""

    type: ClassVar[str] = "stage_failed"
    stage: Stage
    error: PatterError


@dataclass(frozen=True, slots=True)
class Dropped(Body):
    """Something arrived too late, and was thrown away: `of_epoch` is over, or (None: it is tied to none) its turn is."""

    type: ClassVar[str] = "dropped"
    what: str
    of_epoch: int | None


@dataclass(frozen=True, slots=True)
class Tick(Body):
    """A timer of the session fell due at `due_ms`."""

    type: ClassVar[str] = "tick"
    due_ms: float


@dataclass(frozen=True, slots=True)
class KernelBusy(Body):
    """For `ms` until now the session could do nothing, because something else kept its event loop: a cell that computes, say."""

    type: ClassVar[str] = "kernel_busy"
    ms: float


@dataclass(frozen=True, slots=True)
class MicrophoneMuted(Body):
    """The person switched the microphone off or on."""

    type: ClassVar[str] = "microphone_muted"
    muted: bool


@dataclass(frozen=True, slots=True)
class ListenerChanged(Body):
    """Somebody listens from now on, or nobody does any more and what is spoken counts as heard."""

    type: ClassVar[str] = "listener_changed"
    listens: bool


@dataclass(frozen=True, slots=True)
class PersonHungUp(Body):
    """The person closed the microphone and wants to hear no more; they may come back."""

    type: ClassVar[str] = "person_hung_up"


@dataclass(frozen=True, slots=True)
class SpeechStarted(Body):
    """The person began to speak at `at_sample`."""

    type: ClassVar[str] = "speech_started"
    at_sample: int


@dataclass(frozen=True, slots=True)
class SpeechStopped(Body):
    """The person paused: the last voice was at `at_sample`, noticed after `silence_ms` of silence, of which the end came `late_ms` late."""

    type: ClassVar[str] = "speech_stopped"
    at_sample: int
    silence_ms: float
    late_ms: float = field(default=0.0, metadata=_MAY_BE_LEFT_OUT)


@dataclass(frozen=True, slots=True)
class SpeechEnded(Body):
    """The person is taken to have finished: their last voice was at `at_sample`, and `silence_ms` of silence came behind it, the end of it
    `late_ms` late. `silence_ms` is None where they did not wait for it: they muted the microphone, or nobody hears it any more.

    `judge` is the detector that let the silence be so short, or wanted it so long; None: `TurnTaking.endpointing_ms`.
    """

    type: ClassVar[str] = "speech_ended"
    at_sample: int
    silence_ms: float | None
    late_ms: float = 0.0
    judge: str | None = None


@dataclass(frozen=True, slots=True)
class TurnJudged(Body):
    """A detector judged the pause since `at_sample`: the probability that the person has finished, or None where it cannot tell."""

    type: ClassVar[str] = "turn_judged"
    at_sample: int
    probability: float | None


@dataclass(frozen=True, slots=True)
class TranscriptPartial(Body):
    """Words as heard so far; the next transcript replaces them."""

    type: ClassVar[str] = "transcript_partial"
    text: str


@dataclass(frozen=True, slots=True)
class TranscriptFinal(Body):
    """Words that stand. `words` has them one by one where the provider says where they were: ms of the person's sound."""

    type: ClassVar[str] = "transcript_final"
    text: str
    confidence: float | None = None
    words: tuple[Word, ...] = field(default=(), metadata=_MAY_BE_LEFT_OUT)


@dataclass(frozen=True, slots=True)
class UtteranceDropped(Body):
    """Speech that became no turn, and why."""

    type: ClassVar[str] = "utterance_dropped"
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class PreemptiveStarted(Body):
    """An answer to `text` is begun before the person is known to have finished: of the turn that may come of it. None of it sounds."""

    type: ClassVar[str] = "preemptive_started"
    text: str


@dataclass(frozen=True, slots=True)
class PreemptiveDropped(Body):
    """The answer that was begun early is thrown away, and why. One that is not becomes its turn's, which `turn_started` tells."""

    type: ClassVar[str] = "preemptive_dropped"
    reason: str


@dataclass(frozen=True, slots=True)
class TurnStarted(Body):
    """A turn began: the person's words (empty where the agent speaks by itself)."""

    type: ClassVar[str] = "turn_started"
    source: TurnSource
    text: str


@dataclass(frozen=True, slots=True)
class TurnWords(Body):
    """What the person said for this turn, known only after it had begun: an engine answers before it has written down what it heard."""

    type: ClassVar[str] = "turn_words"
    text: str


@dataclass(frozen=True, slots=True)
class TurnOffered(Body):
    """The person's words arrived `late_ms` late: they are kept and offered, not answered."""

    type: ClassVar[str] = "turn_offered"
    text: str
    late_ms: float


@dataclass(frozen=True, slots=True)
class TurnAccepted(Body):
    """An offered turn is answered after all."""

    type: ClassVar[str] = "turn_accepted"


@dataclass(frozen=True, slots=True)
class InputChecked(Body):
    """The person's words after hooks and input guardrails: `text` goes to the language model, None goes nowhere."""

    type: ClassVar[str] = "input_checked"
    text: str | None


@dataclass(frozen=True, slots=True)
class GuardrailHit(Body):
    """A guardrail replaced what was said."""

    type: ClassVar[str] = "guardrail_hit"
    name: str
    on: Literal["input", "output"]
    replacement: str


@dataclass(frozen=True, slots=True)
class LLMRequested(Body):
    """The language model was asked: `messages` of this turn, after `carried` messages of system prompt and history.

    `stage` tells whether it is a model or an engine; `piece` that an engine is only to say this piece of the answer. `characters`
    counts those of all messages.
    """

    type: ClassVar[str] = "llm_requested"
    round: int
    provider: str
    model: str | None
    costs: bool
    tools: tuple[str, ...]
    carried: int
    messages: tuple[Message, ...]
    stage: Literal["llm", "engine"] = "llm"
    piece: int | None = None
    characters: int = 0


@dataclass(frozen=True, slots=True)
class LLMChunked(Body):
    """One chunk of the language model's answer. An engine's usage may come when its turn is over; of a `piece` it is all that is kept."""

    type: ClassVar[str] = "llm_chunk"
    round: int
    chunk: LLMChunk
    piece: int | None = None


@dataclass(frozen=True, slots=True)
class RequestSent(Body):
    """A request went out to a model's vendor; with stage "engine" a conversation with one was opened, where the engine's requests go.

    number      of the attempt in `Log.attempts`, which hold what was sent and answered
    attempt     counts from 1, and rises where the vendor is asked again
    url         without keys; None where the vendor's own client sent it
    size        bytes on the wire, None where that is not known
    plain_size  of the same body as plain JSON
    """

    type: ClassVar[str] = "request_sent"
    number: int
    stage: Literal["llm", "engine"]
    round: int
    provider: str
    model: str | None
    attempt: int
    url: str | None
    size: int | None
    plain_size: int


@dataclass(frozen=True, slots=True)
class RequestAnswered(Body):
    """Request `number` is over: `status` is HTTP's, None where none came or the vendor's own client does not tell; `size` is in bytes.

    Times count from sending, to the first byte of the answer and to its end, or until nobody wanted it any more.
    """

    type: ClassVar[str] = "request_answered"
    number: int
    status: int | None
    request_id: str | None
    first_byte_ms: float | None
    total_ms: float | None
    size: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class SpeechUsed(Body):
    """What was sent to speech to text, or to a voice, as vendors count it, whatever became of it; a field is None where it does not apply.

    stage        "stt", "tts", or "engine" for an answer of an engine that nobody had wanted
    costs        whether its provider charges for it
    seconds      of sound: sent to speech to text, made by a voice
    characters   that a voice was given to speak
    tokens       the vendor's own counts, where it tells any
    tariff       what prices go by, where that is not the model's name

    What was heard comes before its turn has begun: then it is of the turn in which it was said, or of none.
    """

    type: ClassVar[str] = "speech_used"
    stage: Literal["stt", "tts", "engine"]
    provider: str
    model: str | None
    costs: bool
    seconds: float | None = None
    characters: int | None = None
    tokens: tuple[LLMChunk, ...] = ()
    tariff: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCalled(Body):
    """A complete tool call, about to run (`arguments` as the model wrote them)."""

    type: ClassVar[str] = "tool_called"
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolEnded(Body):
    """A tool call ended: completed with `result`, failed or cancelled with `error`. `content` is what the model reads."""

    type: ClassVar[str] = "tool_ended"
    id: str
    name: str
    status: ToolStatus
    content: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class SentenceReady(Body):
    """A piece of the answer was handed to the voice."""

    type: ClassVar[str] = "sentence_ready"
    index: int
    round: int
    text: str
    kind: SentenceKind = "answer"


@dataclass(frozen=True, slots=True)
class SentenceChecked(Body):
    """The piece as it will be spoken, after guardrails and hooks (empty: it is not spoken)."""

    type: ClassVar[str] = "sentence_checked"
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class AudioSent(Body):
    """Sound of a piece was handed to the transport. Its first `quiet` samples cannot be heard; all of them where none can."""

    type: ClassVar[str] = "audio_sent"
    index: int
    start: int
    stop: int
    quiet: int = field(default=0, metadata=_MAY_BE_LEFT_OUT)


@dataclass(frozen=True, slots=True)
class SentenceSpoken(Body):
    """All sound of a piece is made."""

    type: ClassVar[str] = "sentence_spoken"
    index: int


@dataclass(frozen=True, slots=True)
class PlaybackStarted(Body):
    """The person hears the agent, from `position` on, which sounded `ago_ms` before this was known (below 0: sounds so much later).

    `ago_ms` None: nobody told when.
    """

    type: ClassVar[str] = "playback_started"
    position: int
    ago_ms: float | None = field(default=None, metadata=_MAY_BE_LEFT_OUT)


@dataclass(frozen=True, slots=True)
class PlaybackPaused(Body):
    """Playback paused, for the person seems to speak; `by` says who paused it."""

    type: ClassVar[str] = "playback_paused"
    position: int
    by: Literal["session", "transport"]


@dataclass(frozen=True, slots=True)
class PlaybackResumed(Body):
    """It was no interruption: playback goes on from the same sample."""

    type: ClassVar[str] = "playback_resumed"
    position: int
    reason: str


@dataclass(frozen=True, slots=True)
class PlaybackEnded(Body):
    """The agent is silent: everything was heard, or the rest was flushed."""

    type: ClassVar[str] = "playback_ended"
    position: int
    flushed: int = 0


@dataclass(frozen=True, slots=True)
class TurnEnded(Body):
    """The answer is complete and its sound handed over, or the turn ended before that; `error` is the failure that ended it."""

    type: ClassVar[str] = "turn_ended"
    status: TurnStatus
    error: PatterError | None = None


@dataclass(frozen=True, slots=True)
class TurnHeard(Body):
    """What the person really heard of the answer; with `interrupted` the rest never sounds."""

    type: ClassVar[str] = "turn_heard"
    text: str
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class BreakpointsSet(Body):
    """From now on the answer stops at these breakpoints, and at no others."""

    type: ClassVar[str] = "breakpoints_set"
    points: tuple[Breakpoint, ...]


@dataclass(frozen=True, slots=True)
class BreakpointHit(Body):
    """The answer stopped before `what`, until `resume`: of a tool the call `id`."""

    type: ClassVar[str] = "breakpoint_hit"
    point: Breakpoint
    what: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class BreakpointLeft(Body):
    """The answer goes on, with what was edited: "messages" to the model, "arguments" or "result" of the tool call `id`, "text" to speak."""

    type: ClassVar[str] = "breakpoint_left"
    point: Breakpoint
    edits: Mapping[str, Any]
    id: str | None = None


EVENT_TYPES: Mapping[str, type[Body]] = {cls.type: cls for cls in Body.__subclasses__()}
"""Every event there is, by its name on the wire."""


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the log.

    `seq` counts from 0; `t_ms` is session time, which orders and decides; `wall_s` is monotonic time from the session's
    start, which latencies are measured by; `turn` is None outside any turn.
    """

    seq: int
    t_ms: float
    wall_s: float
    epoch: int
    turn: int | None
    body: Body = field()

    @property
    def type(self) -> str:
        """The body's name on the wire."""
        return self.body.type

    def to_dict(self) -> dict[str, Any]:
        """The wire form: one flat dict of plain values, one line of events.jsonl."""
        stamp = {"seq": self.seq, "t_ms": round(self.t_ms, 3), "wall_s": round(self.wall_s, 6), "epoch": self.epoch, "turn": self.turn}
        return {**stamp, "type": self.type, **body_to_dict(self.body)}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)


def body_to_dict(body: Body) -> dict[str, Any]:
    """The fields of an event's body as plain JSON values; a `Word` is an object of its own fields, without those that are None."""
    told = fields(body)  # type: ignore[arg-type]  # every body is a dataclass
    return {f.name: _plain(value) for f in told if (value := getattr(body, f.name)) or not f.metadata.get("left_out_when_empty")}


def error_to_dict(error: PatterError) -> dict[str, Any]:
    """An error's type, message and whatever else it knows."""
    known: dict[str, Any] = {"provider": error.provider, "model": error.model, "status": error.status, "code": error.code}
    known |= {"request_id": error.request_id, "hint": error.hint}
    match error:
        case RateLimitError():
            known["retry_after_s"] = error.retry_after_s
        case TruncatedStream():
            known["partial_text"] = error.partial_text
        case AllProvidersFailed():
            known["errors"] = [_plain(one) for one in error.errors]
    return {"type": type(error).__name__, "message": error.message, **{key: value for key, value in known.items() if value is not None}}


def _plain(value: object) -> Any:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case LLMChunk():
            return _plain(value.to_dict())
        case Word():
            return {f.name: part for f in fields(value) if (part := getattr(value, f.name)) is not None}
        case PatterError():
            return error_to_dict(value)
        case BaseException():
            return {"type": type(value).__name__, "message": str(value)}
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(item) for item in value]
        case _:
            return repr(value)
