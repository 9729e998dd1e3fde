"""The life of an answer: words checked, model asked, tools run, text spoken, and the turn's end, however it comes.

Every way out (complete, interrupted, failed, swapped) passes through `_settle`, which writes into history what was heard.
"""

from __future__ import annotations

from dataclasses import replace

from patter_nb.agent import Agent
from patter_nb.errors import MalformedStream, PatterError, RequestTimeout
from patter_nb.events import (
    InputChecked,
    LLMChunked,
    LLMRequested,
    StageFailed,
    ToolCalled,
    ToolEnded,
    ToolStatus,
    TurnEnded,
    TurnHeard,
    TurnSource,
    TurnStarted,
    TurnStatus,
    UtteranceDropped,
)
from patter_nb.llm.base import Message, name_of
from patter_nb.llm.rounds import (
    MAX_ROUNDS,
    Round,
    ToolRequest,
    assistant_message,
    call_ids,
    cancelled_content,
    merge_neighbours,
    requests_of,
    take,
    tool_message,
)
from patter_nb.pipeline.endpointing import Closed, Quiet, reopen
from patter_nb.pipeline.sentences import SentenceState
from patter_nb.pipeline.sentences import flush as flush_draft
from patter_nb.pipeline.sentences import push as push_draft
from patter_nb.step.effects import Adopt, AskLLM, Cancel, CancelTool, CheckWords, CloseLLM, RunTool, StopListening
from patter_nb.step.inputs import ChunkArrived, Failure, StreamEnded, ToolFinished, WordsChecked
from patter_nb.step.scene import Scene
from patter_nb.step.speaking import cut, fall_silent, flush, owes_sound, speak
from patter_nb.step.state import (
    Answer,
    Asking,
    Calling,
    Checking,
    Delivered,
    Gathering,
    Silent,
    TextComplete,
    ToolRound,
    heard_pieces,
    joined,
)

GO_ON = "Please go on exactly where you stopped."
"""Asked of a model that takes over in the middle of an answer; it is not kept in history."""
CHECK_SILENCE_MS = 60_000.0
"""A hook or guardrail that holds the person's words for this long has failed."""
LLM_SILENCE_MS = 60_000.0
"""A model that says nothing for this long has failed."""
TTS_SILENCE_MS = 30_000.0
"""A voice that owes sound and has made none for this long has failed."""
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
        _write(s, text, round=0)
        _close_draft(s, round=0)


def adopt(s: Scene, agent: Agent) -> None:
    """Be this agent from now on. Words that the old speech-to-text still owes, or that nobody hears any more, are given up."""
    before, said = s.state.agent, s.state.utterance
    s.change(agent=agent, next_agent=None)
    s.do(Adopt(agent))
    if agent.vad is not before.vad:
        s.change(ear=reopen(s.state.ear, "deaf"))
    hears = agent.stt is not None and agent.vad is not None
    if isinstance(said, Silent) or (hears and agent.stt is before.stt):
        return
    if hears and isinstance(said, Gathering):
        s.change(utterance=replace(said, asked=0))
        return
    s.change(utterance=Silent(), ear=s.state.ear if isinstance(s.state.ear, Closed) else Quiet())
    s.do(StopListening())
    s.log(UtteranceDropped(" ".join(said.words), "what heard it was replaced"))


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
    llm = s.state.agent.llm
    provider, model = name_of(llm)
    go_on: tuple[Message, ...] = (assistant_message(said), {"role": "user", "content": GO_ON}) if said else ()
    messages = merge_neighbours((*s.answer.base, *_rounds_so_far(s.answer), *go_on))
    with_tools = number < MAX_ROUNDS
    names = tuple(tool.name for tool in s.state.agent.tools) if with_tools else ()
    carried = max(len(s.answer.base) - len(s.answer.user), 0)
    costs = bool(getattr(llm, "costs", True))  # a provider of one's own may not say; then it may cost
    s.log(LLMRequested(number, provider, model, costs, names, carried, messages[carried:]))
    s.change_answer(work=Asking(Round(number, said and f"{said} "), s.now_ms), draft=SentenceState())
    s.do(AskLLM(s.state.epoch, s.answer.turn, number, messages, with_tools))


def _rounds_so_far(answer: Answer) -> tuple[Message, ...]:
    return tuple(message for done in answer.rounds for message in _round_messages(done, done.text))


def _round_messages(done: ToolRound, text: str) -> list[Message]:
    results = [tool_message(request, content) for request, content in zip(done.requests, done.contents, strict=True)]
    return [assistant_message(text, done.requests), *results]


def chunk_arrived(s: Scene, given: ChunkArrived) -> None:
    work = s.answer.work
    assert isinstance(work, Asking)
    s.log(LLMChunked(given.round, given.chunk))
    text = (given.chunk.content or "") if given.chunk.type == "text" else ""
    s.change_answer(work=Asking(take(work.round, given.chunk), s.now_ms), written=s.answer.written + max(len(text), 1))
    _write(s, text, round=given.round)
    if s.answer.written > ANSWER_CHARS:
        hint = "Ask for short answers in the system prompt, or set the provider's token limit."
        fail(s, "llm", MalformedStream(f"The answer is longer than {ANSWER_CHARS} characters or chunks and was cut off.", hint=hint))


def _write(s: Scene, text: str, *, round: int) -> None:
    draft, pieces = push_draft(s.answer.draft, text)
    s.change_answer(draft=draft)
    for piece in pieces:
        speak(s, piece, round=round)


def _close_draft(s: Scene, *, round: int) -> None:
    for piece in flush_draft(s.answer.draft):
        speak(s, piece, round=round)
    s.change_answer(draft=SentenceState())


def stream_ended(s: Scene, given: StreamEnded) -> None:
    """The model has finished this round: with words, with calls, or with nothing."""
    work = s.answer.work
    assert isinstance(work, Asking)
    _close_draft(s, round=given.round)
    if work.round.calls and work.round.number >= MAX_ROUNDS:
        hint = "Say in the system prompt when to stop calling tools, or in a tool's result that it is final."
        fail(s, "llm", MalformedStream(f"The model still calls tools after {MAX_ROUNDS} rounds.", hint=hint))
    elif work.round.calls:
        taken = call_ids((*s.state.history, *_rounds_so_far(s.answer)))
        requests = requests_of(work.round, prefix=f"call_{s.answer.turn}", taken=taken)
        s.change_answer(work=Calling(given.round, work.round.text, requests))
        for request in requests:
            s.log(ToolCalled(request.id, request.name, request.arguments))
            s.do(RunTool(s.answer.turn, request))
    elif work.round.empty and work.round.finish_reason != "content_filter":
        hint = "Ask again; if it happens often, check the system prompt and the provider's token limit."
        fail(s, "llm", MalformedStream("The model answered with nothing.", hint=hint))
    else:
        s.change_answer(work=TextComplete())


def tool_finished(s: Scene, given: ToolFinished) -> None:
    work = s.answer.work
    assert isinstance(work, Calling)
    _end_tool(s, _request(work, given.id), given.status, given.content, given.error)
    results = (*work.results, (given.id, given.content))
    if len(results) < len(work.requests):
        s.change_answer(work=replace(work, results=results))
        return
    by_id = dict(results)
    done = ToolRound(work.number, work.text, work.requests, tuple(by_id[request.id] for request in work.requests))
    s.change_answer(rounds=(*s.answer.rounds, done))
    ask(s, work.number + 1)


def _request(work: Calling, id: str) -> ToolRequest:
    return next(request for request in work.requests if request.id == id)


def _end_tool(s: Scene, request: ToolRequest, status: ToolStatus, content: str, error: str | None) -> None:
    s.log(ToolEnded(request.id, request.name, status, content, error))


def waits_for_tool(answer: Answer, turn: int, id: str) -> bool:
    """Whether `id` is a call of this answer that has not ended."""
    work = answer.work
    if answer.turn != turn or not isinstance(work, Calling):
        return False
    return any(request.id == id for request in work.requests) and all(done != id for done, _ in work.results)


def advance(s: Scene) -> None:
    """End the turn once its sound is handed over, and settle it once the person has heard it."""
    answer = s.state.answer
    if answer is None:
        return
    if isinstance(answer.work, TextComplete) and not owes_sound(answer):
        s.log(TurnEnded("failed" if answer.failure else "completed"))
        s.change_answer(work=Delivered())
    if isinstance(s.answer.work, Delivered) and not owes_sound(answer) and s.state.voice.played >= s.state.voice.sent:
        fall_silent(s)
        _settle(s, interrupted=False)


def interrupt(s: Scene, status: TurnStatus = "interrupted") -> None:
    """Break the answer off where the person stands: nothing of it is heard any more."""
    answer = s.answer
    _cancel_tools(s, "interrupted by the person")
    if not isinstance(s.answer.work, Delivered):
        s.log(TurnEnded("failed" if answer.failure else status))
    s.do(Cancel(s.state.epoch))
    cursor = s.state.voice.played
    flush(s)
    _settle(s, interrupted=True, cursor=cursor)
    s.change(epoch=s.state.epoch + 1)


def _cancel_tools(s: Scene, why: str) -> None:
    work = s.answer.work
    if not isinstance(work, Calling):
        return
    by_id = dict(work.results)
    for request in work.requests:
        if request.id not in by_id:
            by_id[request.id] = cancelled_content(why)
            _end_tool(s, request, "cancelled", by_id[request.id], why)
            s.do(CancelTool(s.answer.turn, request.id))
    done = ToolRound(work.number, work.text, work.requests, tuple(by_id[request.id] for request in work.requests))
    s.change_answer(rounds=(*s.answer.rounds, done), work=TextComplete())


def _settle(s: Scene, *, interrupted: bool, cursor: int | None = None) -> None:
    answer = s.answer
    cursor = s.state.voice.played if cursor is None else cursor
    heard = heard_pieces(answer.pieces, cursor)
    s.log(TurnHeard(joined(answer.pieces, heard), interrupted))
    kept: list[Message] = [*s.state.history, *answer.user]
    for done in answer.rounds:
        kept += _round_messages(done, joined(answer.pieces, heard, rounds={done.number}))
    last_words = joined(answer.pieces, heard, but={done.number for done in answer.rounds})
    if last_words:
        kept.append(assistant_message(last_words))
    s.change(history=merge_neighbours(kept), answer=None)


def fail(s: Scene, stage: str, error: PatterError) -> None:
    """A stage of the answer failed: what was said stands, the apology is spoken (once) if a voice is left, the turn ends."""
    before = s.answer
    s.log(StageFailed(stage, error))  # type: ignore[arg-type]  # a closed set, checked where failures are made
    _cancel_tools(s, "the turn failed")
    round = s.answer.work.round.number if isinstance(s.answer.work, Asking) else 0
    s.change_answer(failure=before.failure or error)
    if stage == "llm":
        _close_draft(s, round=round)
        s.do(CloseLLM(s.state.epoch))
    else:
        s.do(Cancel(s.state.epoch))
        s.change(epoch=s.state.epoch + 1)
        cut(s, s.state.voice.sent)
    if isinstance(before.work, Delivered):
        return
    s.change_answer(work=TextComplete())
    if before.failure is None and stage != "tts":
        speak(s, s.state.agent.error_message, kind="apology")


def failed(s: Scene, given: Failure) -> None:
    """A failure reported by the edge, inside an answer or outside."""
    if given.epoch is not None and s.state.answer is not None and _hangs_on(s.answer, given.stage):
        fail(s, given.stage, given.error)
    else:
        s.log(StageFailed(given.stage, given.error))


def _hangs_on(answer: Answer, stage: str) -> bool:
    """Whether the answer still needs that stage: a stream may also fail when it is closed, after its last word."""
    return isinstance(answer.work, Asking) if stage == "llm" else not isinstance(answer.work, Delivered) or owes_sound(answer)


def check_overdue(s: Scene) -> None:
    """A hook or guardrail holds the person's words for too long."""
    hint = "Give what your hooks and guardrails wait for a timeout of its own."
    fail(s, "hook", RequestTimeout(f"The person's words were not checked within {CHECK_SILENCE_MS / 1000:.0f} s.", hint=hint))


def model_overdue(s: Scene) -> None:
    """The model has said nothing for too long."""
    hint = "Check the provider's status, or take a faster model."
    fail(s, "llm", RequestTimeout(f"The model said nothing for {LLM_SILENCE_MS / 1000:.0f} s.", hint=hint))


def voice_overdue(s: Scene) -> None:
    """The voice owes sound for too long."""
    hint = "Check the text-to-speech provider; session.use(tts=...) replaces it."
    fail(s, "tts", RequestTimeout(f"The voice made no sound for {TTS_SILENCE_MS / 1000:.0f} s.", hint=hint))


def wants_filler(answer: Answer) -> bool:
    """Whether the person waits in silence: nothing was handed to the voice yet."""
    return isinstance(answer.work, (Checking, Asking, Calling)) and not answer.pieces


def fill(s: Scene) -> None:
    """Say that it takes a moment."""
    if s.state.agent.filler is not None:
        speak(s, s.state.agent.filler.text, kind="filler")
