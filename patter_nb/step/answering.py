"""The life of an answer: words checked, model asked, tools run, text spoken, and the turn's end, however it comes.

Every way out (complete, interrupted, failed, swapped) passes through `_settle`, which writes into history what was heard.
"""

from __future__ import annotations

from dataclasses import replace

from patter_nb.agent import describe_change
from patter_nb.errors import MalformedStream, PatterError, RequestTimeout
from patter_nb.events import (
    AgentChanged,
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
from patter_nb.llm.rounds import MAX_ROUNDS, Round, ToolRequest, assistant_message, cancelled_content, merge_neighbours, requests_of, take, tool_message
from patter_nb.pipeline.sentences import SentenceState
from patter_nb.pipeline.sentences import flush as flush_draft
from patter_nb.pipeline.sentences import push as push_draft
from patter_nb.step.effects import Adopt, AskLLM, Cancel, CancelTool, CheckWords, CloseLLM, RunTool
from patter_nb.step.inputs import ChunkArrived, Failure, StreamEnded, Swap, ToolFinished, WordsChecked
from patter_nb.step.scene import Scene
from patter_nb.step.speaking import fall_silent, flush, speak
from patter_nb.step.state import Answer, Asking, Calling, Checking, Handed, Piece, ToolRound, Written, heard_text

LLM_SILENCE_MS = 60_000.0
"""A model that says nothing for this long has failed."""
ANSWER_CHARS = 20_000
"""A longer answer (about 20 minutes of speech) is not one: a model that never ends is cut off here."""
GO_ON = "Please go on exactly where you stopped."
"""Asked of a model that takes over in the middle of an answer; it is not kept in history."""


def begin(s: Scene, source: TurnSource, text: str, *, turn: int | None = None) -> None:
    """Start a turn with the person's words, or with what the agent says by itself. Whatever ran is interrupted."""
    if s.state.answer is not None:
        interrupt(s)
    if s.state.next_agent is not None:
        s.change(agent=s.state.next_agent, next_agent=None)
        s.do(Adopt(s.state.agent))
    number = turn if turn is not None else s.state.turns + 1
    s.change(turns=max(s.state.turns, number), epoch=s.state.epoch + 1)
    if source in ("typed", "speech"):
        s.change(answer=Answer(number, source, s.now_ms, Checking(), words=text))
        if turn is None:
            s.log(TurnStarted(source, text))
        s.do(CheckWords(s.state.epoch, number, text, _before(s)))
    else:
        s.change(answer=Answer(number, source, s.now_ms, Written()))
        s.log(TurnStarted(source, ""))
        _write(s, text, round=0)
        _close_draft(s, round=0)


def _before(s: Scene) -> tuple[Message, ...]:
    prompt = s.state.agent.render(s.state.agent.system_prompt)
    system: tuple[Message, ...] = ({"role": "system", "content": prompt},) if prompt else ()
    return system + s.state.history


def words_checked(s: Scene, given: WordsChecked) -> None:
    """The words passed, were replaced, or were vetoed."""
    s.log(InputChecked(given.text))
    if given.hit is not None:
        s.log(given.hit)
        s.change_answer(work=Written())
        speak(s, given.hit.replacement)
    elif given.text is None:
        s.log(UtteranceDropped("", "vetoed by after_transcribe"))
        s.change_answer(work=Written())
    else:
        s.change_answer(user=({"role": "user", "content": given.text},), base=given.messages)
        _ask(s, 1)


def _ask(s: Scene, number: int, *, go_on: tuple[Message, ...] = ()) -> None:
    llm = s.state.agent.llm
    provider, model = name_of(llm)
    new = tuple(message for done in s.answer.rounds for message in _round_messages(done, done.text))
    messages = merge_neighbours((*s.answer.base, *new, *go_on))
    with_tools = number < MAX_ROUNDS
    names = tuple(tool.name for tool in s.state.agent.tools) if with_tools else ()
    carried = len(s.answer.base) - len(s.answer.user)
    costs = bool(getattr(llm, "costs", True))  # a provider of one's own may not say; then it may cost
    s.log(LLMRequested(number, provider, model, costs, names, carried, messages[carried:]))
    s.change_answer(work=Asking(Round(number), s.now_ms), draft=SentenceState())
    s.do(AskLLM(s.state.epoch, s.answer.turn, number, messages, with_tools))


def _round_messages(done: ToolRound, text: str) -> list[Message]:
    results = [tool_message(request, content) for request, content in zip(done.requests, done.contents, strict=True)]
    return [assistant_message(text, done.requests), *results]


def chunk_arrived(s: Scene, given: ChunkArrived) -> None:
    work = s.answer.work
    assert isinstance(work, Asking)
    s.log(LLMChunked(given.round, given.chunk))
    s.change_answer(work=Asking(take(work.round, given.chunk), s.now_ms))
    if given.chunk.type == "text" and given.chunk.content:
        _write(s, given.chunk.content, round=given.round)
        if s.answer.written > ANSWER_CHARS:
            hint = "Ask for short answers in the system prompt, or set the provider's token limit."
            fail(s, "llm", MalformedStream(f"The answer is longer than {ANSWER_CHARS} characters and was cut off.", hint=hint))


def _write(s: Scene, text: str, *, round: int) -> None:
    draft, pieces = push_draft(s.answer.draft, text)
    s.change_answer(draft=draft, written=s.answer.written + len(text))
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
        requests = requests_of(work.round, prefix=f"call_{s.answer.turn}")
        s.change_answer(work=Calling(given.round, work.round.text, requests))
        for request in requests:
            s.log(ToolCalled(request.id, request.name, request.arguments))
            s.do(RunTool(s.answer.turn, request))
    elif work.round.empty and work.round.finish_reason != "content_filter":
        hint = "Ask again; if it happens often, check the system prompt and the provider's token limit."
        fail(s, "llm", MalformedStream("The model answered with nothing.", hint=hint))
    else:
        s.change_answer(work=Written())


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
    _ask(s, work.number + 1)


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
    if isinstance(answer.work, Written) and all(piece.done for piece in answer.pieces):
        s.log(TurnEnded("failed" if answer.failure else "completed"))
        s.change_answer(work=Handed())
    if isinstance(s.answer.work, Handed) and s.state.voice.played >= s.state.voice.sent:
        fall_silent(s)
        _settle(s, interrupted=False)


def interrupt(s: Scene, status: TurnStatus = "interrupted") -> None:
    """Break the answer off where the person stands: nothing of it is heard any more."""
    answer = s.answer
    _cancel_tools(s, "interrupted by the person")
    if not isinstance(s.answer.work, Handed):
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
    s.change_answer(rounds=(*s.answer.rounds, done), work=Written())


def _settle(s: Scene, *, interrupted: bool, cursor: int | None = None) -> None:
    answer = s.answer
    cursor = s.state.voice.played if cursor is None else cursor
    s.log(TurnHeard(heard_text(answer.pieces, cursor), interrupted))
    kept: list[Message] = [*s.state.history, *answer.user]
    for done in answer.rounds:
        kept += _round_messages(done, heard_text(_of_round(answer, done.number), cursor))
    tool_rounds = {done.number for done in answer.rounds}
    last_words = heard_text(tuple(piece for piece in answer.pieces if piece.round not in tool_rounds), cursor)
    if last_words:
        kept.append(assistant_message(last_words))
    s.change(history=merge_neighbours(kept), answer=None)


def _of_round(answer: Answer, number: int) -> tuple[Piece, ...]:
    return tuple(piece for piece in answer.pieces if piece.round == number)


def fail(s: Scene, stage: str, error: PatterError) -> None:
    """A stage of the answer failed: what was said stands, the apology is spoken if a voice is left, the turn ends."""
    s.log(StageFailed(stage, error))  # type: ignore[arg-type]  # a closed set, checked where failures are made
    _cancel_tools(s, "the turn failed")
    round = s.answer.work.round.number if isinstance(s.answer.work, Asking) else 0
    s.change_answer(failure=error)
    if stage == "llm":
        _close_draft(s, round=round)
        s.do(CloseLLM(s.state.epoch))
    else:
        s.do(Cancel(s.state.epoch))
        s.change(epoch=s.state.epoch + 1)
        s.change_answer(pieces=tuple(piece if piece.done else replace(piece, done=True, spoken=_sounded(piece)) for piece in s.answer.pieces))
    s.change_answer(work=Written())
    if s.state.agent.error_message and stage != "tts":
        speak(s, s.state.agent.error_message, kind="apology")


def _sounded(piece: Piece) -> str:
    return (piece.spoken or "") if piece.start is not None else ""


def failed(s: Scene, given: Failure) -> None:
    """A failure reported by the edge, inside an answer or outside."""
    if given.epoch is not None and s.state.answer is not None and not isinstance(s.answer.work, Handed):
        fail(s, given.stage, given.error)
    else:
        s.log(StageFailed(given.stage, given.error))


def silence_due(s: Scene) -> None:
    """The model has said nothing for too long."""
    seconds = LLM_SILENCE_MS / 1000
    fail(s, "llm", RequestTimeout(f"The model said nothing for {seconds:.0f} s.", hint="Check the provider's status, or take a faster model."))


def wants_filler(answer: Answer) -> bool:
    """Whether the person waits in silence: asked, nothing sounded yet, and no filler spoken."""
    waiting = isinstance(answer.work, (Checking, Asking, Calling)) and answer.source in ("typed", "speech")
    return waiting and not any(piece.start is not None or piece.kind == "filler" for piece in answer.pieces)


def fill(s: Scene) -> None:
    """Say that it takes a moment."""
    if s.state.agent.filler is not None:
        speak(s, s.state.agent.filler.text, kind="filler")


def swap(s: Scene, given: Swap) -> None:
    """Take over a new agent: at the next turn, or now, fencing off the running answer and letting the new parts go on with it."""
    answer = s.state.answer
    s.log(AgentChanged(describe_change(s.state.next_agent or s.state.agent, given.agent), given.when))
    if answer is None or given.when == "now":
        s.change(agent=given.agent, next_agent=None)
        s.do(Adopt(given.agent))
    else:
        s.change(next_agent=given.agent)
        return
    if answer is None or answer.source in ("say", "greeting") or isinstance(answer.work, (Calling, Handed)):
        return
    _fence(s)


def _fence(s: Scene) -> None:
    """Cut the running answer at the cursor and have the new model go on from there."""
    answer, cursor = s.answer, s.state.voice.played
    s.do(Cancel(s.state.epoch))
    flush(s)
    s.change(epoch=s.state.epoch + 1)
    if isinstance(answer.work, Checking):
        s.do(CheckWords(s.state.epoch, answer.turn, answer.words, _before(s)))
        return
    pieces = tuple(_cut(piece, cursor) for piece in answer.pieces)
    s.change_answer(pieces=pieces, failure=None)
    number = answer.rounds[-1].number + 1 if answer.rounds else 1
    tail = heard_text(tuple(piece for piece in pieces if piece.round == number), cursor)
    go_on: tuple[Message, ...] = (assistant_message(tail), {"role": "user", "content": GO_ON}) if tail else ()
    _ask(s, number, go_on=go_on)


def _cut(piece: Piece, cursor: int) -> Piece:
    heard = heard_text((piece,), cursor)
    return replace(piece, spoken=f"{heard} " if heard else "", done=True, start=None, stop=None)

