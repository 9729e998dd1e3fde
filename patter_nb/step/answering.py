"""The life of an answer: words checked, model asked, round by round, and the turn's end.

Every way out (complete, interrupted, failed, swapped) passes through `_settle`, which writes into history what was heard.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from patter_nb.agent import Agent
from patter_nb.errors import MalformedStream, PatterError
from patter_nb.events import (
    InputChecked,
    LLMChunked,
    LLMRequested,
    TurnEnded,
    TurnHeard,
    TurnSource,
    TurnStarted,
    UtteranceDropped,
)
from patter_nb.llm.base import Message, costs_of, name_of
from patter_nb.llm.rounds import (
    MAX_ROUNDS,
    Round,
    assistant_message,
    call_ids,
    merge_neighbours,
    requests_of,
    take,
    tool_message,
    verdict,
)
from patter_nb.pipeline.endpointing import Closed, Quiet, reopen
from patter_nb.pipeline.sentences import SentenceState
from patter_nb.step import calling, engaging, preempting
from patter_nb.step.effects import Adopt, AskLLM, Cancel, CheckWords, StopListening
from patter_nb.step.failing import fail
from patter_nb.step.inputs import ChunkArrived, StreamEnded, ToolFinished, WordsChecked
from patter_nb.step.scene import Scene
from patter_nb.step.speaking import close_draft, fall_silent, flush, owes_sound, speak, write
from patter_nb.step.state import (
    Answer,
    Asking,
    Calling,
    Checking,
    Delivered,
    Early,
    Gathering,
    Silent,
    State,
    TextComplete,
    ToolRound,
    heard_pieces,
    joined,
)

GO_ON = "Please go on exactly where you stopped."
"""Asked of a model that takes over in the middle of an answer; it is not kept in history."""
ANSWER_CHARS = 20_000
"""A longer answer (about 20 minutes of speech) is not one: a model that never ends is cut off here. A chunk without text counts as one."""


def begin(s: Scene, source: TurnSource, text: str, *, turn: int | None = None) -> None:
    """Start a turn with the person's words, or with what the agent says by itself. Whatever ran is interrupted."""
    if s.state.answer is not None:
        interrupt(s)
    if s.state.next_agent is not None:
        adopt(s, s.state.next_agent)
    number = turn if turn is not None else s.state.turns + 1
    s.change(turns=max(s.state.turns, number), epoch=s.state.epoch + 1)
    if source in ("typed", "speech"):
        s.change(answer=Answer(number, source, s.now_ms, Checking(s.now_ms), words=text))
        if turn is None:
            s.log(TurnStarted(source, text))
        check(s)
    else:
        s.change(answer=Answer(number, source, s.now_ms, TextComplete()))
        s.log(TurnStarted(source, ""))
        if s.state.agent.engine is None:
            write(s, text, round=0)
            close_draft(s, round=0)
        else:
            speak(s, text)  # an engine says it in one go


def adopt(s: Scene, agent: Agent) -> None:
    """Be this agent from now on. Words that the old speech-to-text still owes, or that nobody hears any more, are given up."""
    before, said = s.state.agent, s.state.utterance
    s.change(agent=agent, next_agent=None)
    s.do(Adopt(agent))
    if agent.vad is not before.vad:
        s.change(ear=reopen(s.state.ear, "deaf"))
    if agent.stt is not before.stt:
        s.change(forgotten=0)
    if agent.engine is not before.engine:
        s.change(ear=s.state.ear if isinstance(s.state.ear, Closed) else Quiet())
        s.change(wordless=(), hushed=False, forgotten=0)
    hears = agent.engine is None and before.engine is None and agent.stt is not None and agent.vad is not None
    if isinstance(said, Silent) or (hears and agent.stt is before.stt):
        return
    if hears and isinstance(said, Gathering):
        s.change(utterance=replace(said, asked=0))
        return
    drop_words(s, "what heard it was replaced")


def drop_words(s: Scene, reason: str) -> None:
    """Whatever the person was saying comes to nothing."""
    said, ear = s.state.utterance, s.state.ear
    preempting.drop(s, reason)
    s.change(utterance=Silent(), ear=ear if isinstance(ear, Closed) else Quiet())
    if not isinstance(said, Silent):
        s.do(StopListening())
        s.log(UtteranceDropped(" ".join(said.words), reason))


def mind_of(agent: Agent) -> object:
    """Who answers: the engine, where there is one, else the language model."""
    return agent.llm if agent.engine is None else agent.engine


def check(s: Scene) -> None:
    """Have the person's words checked. Where nothing may veto or replace them they are kept, also if the answer ends before they were."""
    agent = s.state.agent
    guarded = agent.hooks.after_transcribe is not None or any(guardrail.on == "input" for guardrail in agent.guardrails)
    s.change_answer(work=Checking(s.now_ms), user=() if guarded else _user(s.answer.words))
    s.do(CheckWords(s.state.epoch, s.answer.turn, s.answer.words, system_of(s.state.agent) + s.state.history))


def _user(text: str) -> tuple[Message, ...]:
    return ({"role": "user", "content": text},)


def system_of(agent: Agent) -> tuple[Message, ...]:
    """What the model is told before all else."""
    prompt = agent.render(agent.system_prompt)
    return ({"role": "system", "content": prompt},) if prompt else ()


def words_checked(s: Scene, given: WordsChecked) -> None:
    """The words passed, were replaced, or were vetoed."""
    s.log(InputChecked(given.text))
    if given.hit is not None:
        s.log(given.hit)
        s.change_answer(work=TextComplete(), user=())
        speak(s, given.hit.replacement)
    elif given.text is None or not given.text.strip():
        s.log(UtteranceDropped("", "vetoed by after_transcribe"))
        s.change_answer(work=TextComplete(), user=())
    else:
        s.change_answer(user=_user(given.text), base=given.messages)
        ask(s, 1)


def ask(s: Scene, number: int, *, said: str = "") -> None:
    """Ask the model for round `number` of the answer, or for the rest of it after `said`."""
    llm = mind_of(s.state.agent)
    provider, model = name_of(llm)
    go_on: tuple[Message, ...] = (assistant_message(said), {"role": "user", "content": GO_ON}) if said else ()
    messages = merge_neighbours((*s.answer.base, *_rounds_so_far(s.answer), *go_on))
    with_tools = number < MAX_ROUNDS
    names = tuple(tool.name for tool in s.state.agent.tools) if with_tools else ()
    carried = max(len(s.answer.base) - len(s.answer.user), 0)
    stage: Literal["llm", "engine"] = "llm" if s.state.agent.engine is None else "engine"
    characters = sum(len(str(message.get("content") or "")) for message in messages)
    s.log(LLMRequested(number, provider, model, costs_of(llm), names, carried, messages[carried:], stage, characters=characters))
    s.change_answer(work=Asking(Round(number, said and f"{said} "), s.now_ms), draft=SentenceState())
    s.do(AskLLM(s.state.epoch, s.answer.turn, number, messages, with_tools))


def _rounds_so_far(answer: Answer) -> tuple[Message, ...]:
    return tuple(message for done in answer.rounds[answer.based :] for message in _round_messages(done, done.text))


def _round_messages(done: ToolRound, text: str) -> list[Message]:
    results = [tool_message(request, content) for request, content in zip(done.requests, done.contents, strict=True)]
    return [assistant_message(text, done.requests, done.extras), *results]


def chunk_arrived(s: Scene, given: ChunkArrived) -> None:
    work = s.answer.work
    assert isinstance(work, Asking)
    s.log(LLMChunked(given.round, given.chunk))
    text = (given.chunk.content or "") if given.chunk.type == "text" else ""
    s.change_answer(work=Asking(take(work.round, given.chunk), s.now_ms), written=s.answer.written + max(len(text), 1))
    if s.state.agent.engine is None:
        write(s, text, round=given.round)
    else:
        engaging.spoken(s, text, round=given.round)
    if s.answer.written > ANSWER_CHARS:
        hint = "Ask for short answers in the system prompt, or set the provider's token limit."
        fail(s, "llm", MalformedStream(f"The answer is longer than {ANSWER_CHARS} characters or chunks and was cut off.", hint=hint))


def stream_ended(s: Scene, given: StreamEnded) -> None:
    """The model has finished this round: with words, with calls, or with nothing."""
    work = s.answer.work
    assert isinstance(work, Asking)
    if s.answer.early is not None:
        s.change_answer(early=Early(over=True))
        return
    close_draft(s, round=given.round)
    judged = verdict(work.round, provider=name_of(mind_of(s.state.agent))[0])
    if engaging.finished(s, round=given.round) and isinstance(judged, MalformedStream):
        judged = "words"  # it spoke, and did not write down what
    if s.state.agent.engine is not None and work.round.finish_reason == "cancelled":
        judged = "words"  # the person speaks, as the engine is about to say
    if isinstance(judged, PatterError):
        fail(s, "llm", judged)
    elif judged == "calls":
        taken = call_ids((*s.state.history, *_rounds_so_far(s.answer)))
        calling.run(s, work.round, requests_of(work.round, prefix=f"call_{s.answer.turn}", taken=taken))
    else:
        s.change_answer(work=TextComplete())


def tool_finished(s: Scene, given: ToolFinished) -> None:
    """A tool call ended; after the round's last, the model is asked on."""
    if calling.finish(s, given):
        ask(s, s.answer.rounds[-1].number + 1)


def advance(s: Scene) -> None:
    """End the turn once its sound is handed over, and settle it once the person has heard it."""
    answer = s.state.answer
    if answer is None or answer.early is not None:
        return
    if isinstance(answer.work, TextComplete) and not owes_sound(answer):
        s.log(TurnEnded("failed" if answer.failure else "completed", answer.failure))
        s.change_answer(work=Delivered())
    if isinstance(s.answer.work, Delivered) and not owes_sound(answer) and s.state.voice.played >= s.state.voice.sent:
        fall_silent(s)
        _settle(s, interrupted=False)


def interrupt(s: Scene) -> None:
    """Break the answer off where the person stands: nothing of it is heard any more."""
    answer = s.answer
    if answer.early is not None:
        preempting.drop(s, "the person said something else")
        return
    given_up = calling.cancel(s, "interrupted by the person")
    if not isinstance(s.answer.work, Delivered):
        s.log(TurnEnded("failed" if answer.failure else "interrupted", answer.failure))
    cursor = s.state.voice.played
    s.do(Cancel(s.state.epoch, engaging.heard(s), given_up if s.state.agent.engine is not None else ()))
    flush(s)
    _settle(s, interrupted=True, cursor=cursor)
    s.change(epoch=s.state.epoch + 1)


def _settle(s: Scene, *, interrupted: bool, cursor: int | None = None) -> None:
    answer = s.answer
    cursor = s.state.voice.played if cursor is None else cursor
    heard = heard_pieces(answer.pieces, cursor)
    s.log(TurnHeard(joined(answer.pieces, heard), interrupted))
    s.change(history=_with_answer(s.state.history, answer, heard), answer=None)


def _with_answer(history: tuple[Message, ...], answer: Answer, heard: tuple[str, ...]) -> tuple[Message, ...]:
    kept: list[Message] = [*history, *answer.user]
    for done in answer.rounds:
        kept += _round_messages(done, joined(answer.pieces, heard, rounds={done.number}))
    last_words = joined(answer.pieces, heard, but={done.number for done in answer.rounds})
    if last_words:
        kept.append(assistant_message(last_words))
    return merge_neighbours(kept)


def said(state: State) -> tuple[Message, ...]:
    """History as it would be if the answer under way ended here."""
    answer = state.answer
    if answer is None or answer.early is not None:
        return state.history
    return _with_answer(state.history, answer, heard_pieces(answer.pieces, state.voice.played))


def wants_filler(answer: Answer) -> bool:
    """Whether the person waits in silence: nothing was handed to the voice yet."""
    return isinstance(answer.work, (Checking, Asking, Calling)) and not answer.pieces


def fill(s: Scene) -> None:
    """Say that it takes a moment."""
    if s.state.agent.filler is not None:
        speak(s, s.state.agent.filler.text, kind="filler")
