"""The states of a session, each with a name: what the ear hears, what has been said, what the answer waits for, what sounds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import compress
from typing import Any, Literal, TypeAlias

from patter_nb.agent import Agent
from patter_nb.audio.frames import SAMPLE_RATE
from patter_nb.errors import PatterError
from patter_nb.events import Breakpoint, SentenceKind, SessionState, TurnSource
from patter_nb.llm.base import Message
from patter_nb.llm.rounds import Round, ToolRequest
from patter_nb.pipeline.endpointing import Closed, Ear, Quiet
from patter_nb.pipeline.scanning import WIDE
from patter_nb.pipeline.sentences import SentenceState
from patter_nb.step.effects import AskLLM, RunTool, Speak

LETTERS_A_SECOND = 15
"""How fast a voice speaks, where it must be guessed."""


@dataclass(frozen=True, slots=True)
class Silent:
    """The person has said nothing that is not answered."""


@dataclass(frozen=True, slots=True)
class Gathering:
    """The person speaks: `words` stand, `asked` finals are still to come. `late_ms` is how late the newest frame was.

    `into`: they began while the agent answered, and have not interrupted it; `audible`: while it was heard, so that this may be its own
    voice, and `echoed`: it was. `lone` is the word for which playback is held.
    """

    words: tuple[str, ...] = ()
    asked: int = 0
    late_ms: float = 0.0
    into: bool = False
    audible: bool = False
    echoed: bool = False
    lone: str = ""


@dataclass(frozen=True, slots=True)
class Closing:
    """The person has finished at `since_ms`; `asked` finals are still to come. The rest is as it was while they spoke."""

    words: tuple[str, ...]
    asked: int
    late_ms: float
    since_ms: float
    into: bool = False
    audible: bool = False
    echoed: bool = False
    lone: str = ""


Utterance: TypeAlias = Silent | Gathering | Closing


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the answer: its text, the text really spoken once checked, and its place on the output axis once it sounds.

    `length` is a guess at its samples, for as long as `stop` still moves.
    """

    round: int
    kind: SentenceKind
    text: str
    spoken: str | None = None
    start: int | None = None
    stop: int | None = None
    length: int = 0
    done: bool = False

    @property
    def words(self) -> str:
        """What is spoken, as far as is known."""
        return self.text if self.spoken is None else self.spoken


@dataclass(frozen=True, slots=True)
class Checking:
    """The person's words are being checked since `since_ms`."""

    since_ms: float


@dataclass(frozen=True, slots=True)
class Asking:
    """The model answers; `heard_ms` is when it last said something."""

    round: Round
    heard_ms: float


@dataclass(frozen=True, slots=True)
class Calling:
    """Tools run; `results` holds what has come, by call id."""

    round: Round
    requests: tuple[ToolRequest, ...]
    results: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class TextComplete:
    """No more text will come; the voice still works."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """Text and sound were complete and handed over, and the turn has ended; the person still hears it."""


Work: TypeAlias = Checking | Asking | Calling | TextComplete | Delivered


@dataclass(frozen=True, slots=True)
class ToolRound:
    """A finished round of tool calls with their results, in the order of the calls."""

    number: int
    text: str
    requests: tuple[ToolRequest, ...]
    contents: tuple[str, ...]
    extras: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Early:
    """The answer was begun before the person is known to have finished: none of it sounds, no tool runs. `over`: the model is done."""

    over: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """The turn that is being answered.

    `words` is what the person said, `user` what history keeps of it, `base` the messages that the model was first asked with,
    which hold the first `based` rounds already where somebody edited them.
    `written` counts what the model has sent, `voice_ms` is when the voice last got on with the pieces.
    """

    turn: int
    source: TurnSource
    since_ms: float
    work: Work
    words: str = ""
    user: tuple[Message, ...] = ()
    base: tuple[Message, ...] = ()
    based: int = 0
    rounds: tuple[ToolRound, ...] = ()
    draft: SentenceState = field(default_factory=SentenceState)
    pieces: tuple[Piece, ...] = ()
    written: int = 0
    voice_ms: float = 0.0
    failure: PatterError | None = None
    early: Early | None = None


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing sounds."""


@dataclass(frozen=True, slots=True)
class Playing:
    """The person hears the agent."""


@dataclass(frozen=True, slots=True)
class Paused:
    """Playback is paused until `until_ms`, for the person seems to interrupt."""

    until_ms: float


@dataclass(frozen=True, slots=True)
class Voice:
    """The output axis: `sent` samples were handed to the transport, of which the cursor has reached `played`, last moving at `moved_ms`."""

    sent: int = 0
    played: int = 0
    moved_ms: float = 0.0
    stance: Idle | Playing | Paused = field(default_factory=Idle)


@dataclass(frozen=True, slots=True)
class Offer:
    """Words that came too late to be answered unasked."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class State:
    """All that a session knows. `next_agent` waits for the next turn; `queue` holds what the agent shall say by itself.

    `wordless` are the turns whose words an engine has not written down yet, in order, each with the engine's name for what was said.
    `hushed`: what an engine has heard so far is not to be answered, for the person ended the call.
    `forgotten` counts the finals that speech-to-text still owes for words that nobody wants any more.
    `held` is what the `breakpoints` keep back, the first of it what the answer stopped before.
    `rate` is the output axis's, in Hz; `plays` says whether the transport tells how far it has played.
    """

    agent: Agent
    life: Literal["starting", "live", "stopped"] = "starting"
    plays: bool = False
    rate: int = SAMPLE_RATE
    next_agent: Agent | None = None
    epoch: int = 0
    turns: int = 0
    dropped: int = 0
    ear: Ear = field(default_factory=Quiet)
    utterance: Utterance = field(default_factory=Silent)
    forgotten: int = 0
    answer: Answer | None = None
    voice: Voice = field(default_factory=Voice)
    history: tuple[Message, ...] = ()
    wordless: tuple[tuple[int, str], ...] = ()
    hushed: bool = False
    queue: tuple[str, ...] = ()
    offers: tuple[Offer, ...] = ()
    breakpoints: frozenset[Breakpoint] = frozenset()
    held: tuple[AskLLM | RunTool | Speak, ...] = ()

    @property
    def word(self) -> SessionState:
        """The state in one word."""
        if self.life != "live":
            return self.life
        match self.voice.stance:
            case Paused():
                return "paused"
            case Playing():
                return "speaking"
        if not isinstance(self.utterance, Silent):
            return "listening"
        if self.answer is None:
            return "ready"
        return "calling" if isinstance(self.answer.work, Calling) else "thinking"

    @property
    def answers(self) -> bool:
        """Whether a turn is being answered; what is only begun early is none."""
        return self.answer is not None and self.answer.early is None

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


def heard_pieces(pieces: tuple[Piece, ...], played: int) -> tuple[str, ...]:
    """What the person heard of each piece when the cursor stood at `played`: whole ones, whole words of the last, nothing after it.

    Within a piece the words are taken to be spread evenly over its sound, which no TTS promises; the error is a word or two.
    """
    heard: list[str] = []
    reached = True
    for piece in pieces:
        heard.append(_heard_of(piece, played) if reached else "")
        reached = reached and piece.done and heard[-1] == (piece.spoken or "")
    return tuple(heard)


def heard_text(pieces: tuple[Piece, ...], played: int) -> str:
    """What the person heard of the answer when the cursor stood at `played`, without fillers."""
    return joined(pieces, heard_pieces(pieces, played))


def joined(pieces: tuple[Piece, ...], heard: tuple[str, ...], *, rounds: Collection[int] | None = None, but: Collection[int] = ()) -> str:
    """What was heard of the pieces, without fillers: those of `rounds` (None: all), `but` those of other rounds."""
    wanted = [piece.kind != "filler" and piece.round not in but and (rounds is None or piece.round in rounds) for piece in pieces]
    return "".join(compress(heard, wanted)).strip()


def _heard_of(piece: Piece, played: int) -> str:
    text = piece.spoken or ""
    if piece.start is None or piece.stop is None:
        return text if piece.done else ""
    if played >= piece.stop and piece.done:
        return text
    if played <= piece.start:
        return ""
    length = piece.stop - piece.start if piece.done else max(piece.stop - piece.start, piece.length)
    cut = min(len(text) * (played - piece.start) // length + 1, len(text))
    while cut and not (text[cut - 1].isspace() or WIDE.match(text, cut - 1)):
        cut -= 1
    return text[:cut]
