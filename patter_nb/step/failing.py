"""How an answer fails: what was said stands, the apology is spoken if a voice is left, and the turn ends, saying why.

A failure is what a stage reports, what the model's own end of a round comes to, and silence that lasts too long (see `timers`).
"""

from __future__ import annotations

from patter_nb.errors import PatterError, RequestTimeout
from patter_nb.events import Stage, StageFailed, TurnStarted
from patter_nb.llm.base import name_of
from patter_nb.step import calling, preempting
from patter_nb.step.effects import Cancel, CloseLLM, StopListening
from patter_nb.step.inputs import Failure
from patter_nb.step.scene import Scene
from patter_nb.step.speaking import close_draft, cut, flush, owes_sound, resume, speak
from patter_nb.step.state import Answer, Asking, Delivered, Silent, TextComplete

CHECK_SILENCE_MS = 60_000.0
"""A hook or guardrail that holds the person's words for this long has failed."""
LLM_SILENCE_MS = 60_000.0
"""A model that says nothing for this long has failed."""
TTS_SILENCE_MS = 30_000.0
"""A voice that owes sound and has made none for this long has failed."""
STT_SILENCE_MS = 20_000.0
"""Speech-to-text that has not answered for this long, after the person finished, has failed."""


def fail(s: Scene, stage: Stage, error: PatterError, *, voiceless: bool = False) -> None:
    """A stage of the answer failed. The first failure is the turn's; only that one is apologised for.

    There is no apology without a voice, and none where the caller's patience ("session") has ended.
    """
    before = s.answer
    s.log(StageFailed(stage, error))
    if before.early is not None:  # if it becomes a turn, that asks again
        preempting.drop(s, f"{stage} failed")
        return
    calling.cancel(s, "the turn failed")
    s.change_answer(failure=before.failure or error)
    if stage == "llm" and s.state.agent.engine is None:
        close_draft(s, round=s.answer.work.round.number if isinstance(s.answer.work, Asking) else 0)
        s.do(CloseLLM(s.state.epoch))
    else:
        s.do(Cancel(s.state.epoch))
        s.change(epoch=s.state.epoch + 1)
        if stage == "guardrail":  # what could not be checked is not heard
            cut(s, s.state.voice.played)
            flush(s)
        cut(s, s.state.voice.sent)
    if isinstance(before.work, Delivered):
        return
    s.change_answer(work=TextComplete())
    if before.failure is None and not voiceless and stage not in ("tts", "session"):
        speak(s, s.state.agent.error_message, kind="apology")


def reported(s: Scene, given: Failure) -> None:
    """A failure reported by the edge, inside an answer or outside."""
    if given.epoch is not None and s.state.answer is not None and _hangs_on(s.answer, given.stage):
        fail(s, given.stage, given.error)
    else:
        s.log(StageFailed(given.stage, given.error))


def _hangs_on(answer: Answer, stage: Stage) -> bool:
    """Whether the answer still needs that stage: a stream may also fail when it is closed, after its last word."""
    return isinstance(answer.work, Asking) if stage == "llm" else not isinstance(answer.work, Delivered) or owes_sound(answer)


def lost_words(s: Scene, error: PatterError) -> None:
    """Speech-to-text failed. Words already heard make a failed turn, so that nobody waits for an answer in vain."""
    said = s.state.utterance
    preempting.drop(s, "speech-to-text failed")
    s.change(utterance=Silent(), forgotten=0)
    s.do(StopListening())
    resume(s, "speech-to-text failed")
    if isinstance(said, Silent) or s.state.answer is not None:
        s.log(StageFailed("stt", error))
        return
    turn = s.state.turns + 1
    s.change(turns=turn, answer=Answer(turn, "speech", s.now_ms, TextComplete()))
    s.log(TurnStarted("speech", " ".join(said.words)))
    fail(s, "stt", error)


def words_overdue(s: Scene) -> None:
    """Speech-to-text owes its answer for too long."""
    hint = "Check the speech-to-text provider; session.use(stt=...) replaces it."
    lost_words(s, RequestTimeout(f"Speech-to-text did not answer for {STT_SILENCE_MS / 1000:.0f} s.", hint=hint))


def check_overdue(s: Scene) -> None:
    """A hook or guardrail holds the person's words for too long."""
    hint = "Give what your hooks and guardrails wait for a timeout of its own."
    fail(s, "hook", RequestTimeout(f"The person's words were not checked within {CHECK_SILENCE_MS / 1000:.0f} s.", hint=hint))


def model_overdue(s: Scene) -> None:
    """The model, or the engine, has said nothing for too long."""
    llm, engine = s.state.agent.llm, s.state.agent.engine
    stage: Stage = "llm" if engine is None else "engine"
    provider, model = name_of(llm if engine is None else engine)
    told = f"The {'model' if engine is None else 'engine'} said nothing for {LLM_SILENCE_MS / 1000:.0f} s."
    hint = f"Check the provider's status, or take another: session.{stage} = ..."
    fail(s, stage, RequestTimeout(told, provider=provider, model=model, hint=hint))


def voice_overdue(s: Scene) -> None:
    """The voice owes sound for too long."""
    hint = "Check the text-to-speech provider; session.use(tts=...) replaces it."
    fail(s, "tts", RequestTimeout(f"The voice made no sound for {TTS_SILENCE_MS / 1000:.0f} s.", hint=hint))
