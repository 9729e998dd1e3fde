"""The states of a session, each with a name: what the ear hears, what has been said, what the answer waits for, what sounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from patter_nb.agent import Agent
from patter_nb.errors import PatterError
from patter_nb.events import SentenceKind, SessionState, TurnSource
from patter_nb.llm.base import Message
from patter_nb.llm.rounds import Round, ToolRequest
from patter_nb.pipeline.endpointing import Closed, Ear, Quiet
from patter_nb.pipeline.sentences import SentenceState


@dataclass(frozen=True, slots=True)
class Silent:
    """The person has said nothing that is not answered."""


@dataclass(frozen=True, slots=True)
class Gathering:
    """The person speaks: `words` stand, `asked` finals are still to come. `late_ms` is how late the newest frame was."""

    words: tuple[str, ...] = ()
    asked: int = 0
    late_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Closing:
    """The person has finished at `since_ms`; `asked` finals are still to come."""

    words: tuple[str, ...]
    asked: int
    late_ms: float
    since_ms: float


Utterance: TypeAlias = Silent | Gathering | Closing


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the answer: its text, the text really spoken once checked, and its place on the output axis once it sounds."""

    round: int
    kind: SentenceKind
    text: str
    spoken: str | None = None
    start: int | None = None
    stop: int | None = None
    done: bool = False


@dataclass(frozen=True, slots=True)
class Checking:
    """The person's words are being checked."""


@dataclass(frozen=True, slots=True)
class Asking:
    """The model answers; `heard_ms` is when it last said something."""

    round: Round
    heard_ms: float


@dataclass(frozen=True, slots=True)
class Calling:
    """Tools run; `results` holds what has come, by call id."""

    number: int
    text: str
    requests: tuple[ToolRequest, ...]
    results: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """No more text will come; the voice still works."""


@dataclass(frozen=True, slots=True)
class Handed:
    """Text and sound are complete and handed over; the person still hears it."""


Work: TypeAlias = Checking | Asking | Calling | Written | Handed


@dataclass(frozen=True, slots=True)
class ToolRound:
    """A finished round of tool calls with their results, in the order of the calls."""

    number: int
    text: str
    requests: tuple[ToolRequest, ...]
    contents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The turn that is being answered.

    `words` is what the person said, `user` what history keeps of it, `base` the messages that the model was first asked with.
    """

    turn: int
    source: TurnSource
    since_ms: float
    work: Work
    words: str = ""
    user: tuple[Message, ...] = ()
    base: tuple[Message, ...] = ()
    rounds: tuple[ToolRound, ...] = ()
    draft: SentenceState = field(default_factory=SentenceState)
    pieces: tuple[Piece, ...] = ()
    written: int = 0
    failure: PatterError | None = None


@dataclass(frozen=True, slots=True)
class Mute:
    """Nothing sounds."""


@dataclass(frozen=True, slots=True)
class Sounding:
    """The person hears the agent."""


@dataclass(frozen=True, slots=True)
class Held:
    """Playback is paused until `until_ms`, for the person seems to interrupt."""

    until_ms: float


@dataclass(frozen=True, slots=True)
class Voice:
    """The output axis: `sent` samples were handed to the transport, of which the cursor has reached `played`."""

    sent: int = 0
    played: int = 0
    stance: Mute | Sounding | Held = field(default_factory=Mute)


@dataclass(frozen=True, slots=True)
class Offer:
    """Words that came too late to be answered unasked."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class State:
    """All that a session knows. `next_agent` waits for the next turn; `queue` holds what the agent shall say by itself."""

    agent: Agent
    life: Literal["starting", "live", "stopped"] = "starting"
    plays: bool = False
    next_agent: Agent | None = None
    epoch: int = 0
    turns: int = 0
    dropped: int = 0
    ear: Ear = field(default_factory=Quiet)
    utterance: Utterance = field(default_factory=Silent)
    answer: Answer | None = None
    voice: Voice = field(default_factory=Voice)
    history: tuple[Message, ...] = ()
    queue: tuple[str, ...] = ()
    offers: tuple[Offer, ...] = ()

    @property
    def word(self) -> SessionState:
        """The state in one word."""
        if self.life != "live":
            return self.life
        match self.voice.stance:
            case Held():
                return "paused"
            case Sounding():
                return "speaking"
        if not isinstance(self.utterance, Silent):
            return "listening"
        if self.answer is None:
            return "ready"
        return "calling" if isinstance(self.answer.work, Calling) else "thinking"

    @property
    def owed_words(self) -> int:
        """How many final transcripts speech-to-text still owes."""
        return 0 if isinstance(self.utterance, Silent) else self.utterance.asked

    @property
    def at_rest(self) -> bool:
        """Nobody speaks or is about to, and nothing waits to be said."""
        return self.floor_free and not self.queue and isinstance(self.ear, (Quiet, Closed))

    @property
    def floor_free(self) -> bool:
        """Nobody speaks, and nothing is being answered."""
        return self.answer is None and isinstance(self.utterance, Silent)


def heard_text(pieces: tuple[Piece, ...], played: int) -> str:
    """What the person heard of the pieces when the cursor stood at `played`: whole pieces, and whole words of the last one.

    Within a piece the words are taken to be spread evenly over its sound, which no TTS promises; the error is a word or two.
    """
    return "".join(_heard_of(piece, played) for piece in pieces if piece.kind != "filler").strip()


def _heard_of(piece: Piece, played: int) -> str:
    text = piece.spoken or ""
    if piece.start is None or piece.stop is None:
        return text if piece.done else ""
    if played >= piece.stop and piece.done:
        return text
    if played <= piece.start:
        return ""
    share = (played - piece.start) / max(piece.stop - piece.start, 1)
    cut = min(int(len(text) * share), len(text))
    return text if cut == len(text) and piece.done else text[: text.rfind(" ", 0, cut + 1) + 1]
