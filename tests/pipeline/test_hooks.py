"""The six joints of the pipeline where a user's function may look on, change or refuse, plain or async."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from talking import bodies, one_utterance, silence, talking

from patter_nb.agent import AfterLLM, HookContext, PipelineHooks
from patter_nb.errors import PatterConfigError
from patter_nb.events import AudioSent, StageFailed, UtteranceDropped
from patter_nb.testing import Call, RecordedVAD, ScriptedLLM, ScriptedSTT, ScriptedTTS

ANSWER = "It is sunny in Rome. Take a hat with you."


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def later(function: Callable[..., Any]) -> Callable[..., Any]:
    async def hook(*args: Any) -> Any:
        await asyncio.sleep(0)
        return function(*args)

    return hook


both = pytest.mark.parametrize("kind", [plain, later])


def fails(*_: object) -> Any:
    raise ZeroDivisionError("the hook is broken")


# --- before_send_to_stt


@both
async def test_before_send_to_stt_sees_changes_and_drops_frames(kind: Callable[..., Any]) -> None:
    seen: list[tuple[int, HookContext]] = []
    pushed: list[int] = []

    class Ears(ScriptedSTT):
        async def push(self, frame: Any) -> None:
            pushed.append(int(frame.pcm[0]))
            await super().push(frame)

    def hook(audio: bytes, ctx: HookContext) -> bytes | None:
        seen.append((len(audio), ctx))
        return None if len(seen) % 2 else np.full(320, 7, np.int16).tobytes()

    parts: dict[str, Any] = {"stt": Ears(["Hello."]), "vad": one_utterance(), "hooks": PipelineHooks(before_send_to_stt=kind(hook))}
    async with talking(transport=silence(), llm=ScriptedLLM(["Hi."]), **parts) as session:
        await session.wait()
    assert session.turns[0].user_text == "Hello."
    assert {length for length, _ in seen} == {640}
    assert seen[0][1] == HookContext("test", None, ())
    assert pushed == [7] * (len(seen) // 2)


@pytest.mark.parametrize("hook", [fails, later(fails), lambda audio, ctx: b"odd", lambda audio, ctx: "text"])
async def test_a_failing_before_send_to_stt_ends_the_turn_and_not_the_session(hook: Any) -> None:
    stt = ScriptedSTT(["Hello."])
    parts: dict[str, Any] = {"stt": stt, "vad": RecordedVAD.speaking((500, 1500), (4000, 5000)), "error_message": "Sorry?"}
    async with talking(transport=silence(8), llm=ScriptedLLM(["Hi."]), hooks=PipelineHooks(before_send_to_stt=hook), **parts) as session:
        turn = await session.wait_turn()
        assert (turn.status, turn.agent_text) == ("failed", "Sorry?")
        assert "hook failed" in str(turn.error)
        assert len(session.events.of(StageFailed)) == 1, "told once, not for every frame"
        session.use(hooks=PipelineHooks())
        await session.wait()
    assert [turn.status for turn in session.turns] == ["failed", "completed"]
    stt.verify()


# --- after_transcribe


@both
async def test_after_transcribe_changes_the_words(kind: Callable[..., Any]) -> None:
    llm = ScriptedLLM(["Hi."])
    async with talking(llm=llm, hooks=PipelineHooks(after_transcribe=kind(lambda text, ctx: f"{text} ({ctx.turn})"))) as session:
        await session.ask("Hello")
    assert llm.requests[0].user_text == "Hello (1)"
    assert session.history[0] == {"role": "user", "content": "Hello (1)"}


@both
async def test_after_transcribe_vetoes_the_turn(kind: Callable[..., Any]) -> None:
    llm = ScriptedLLM([])
    async with talking(llm=llm, hooks=PipelineHooks(after_transcribe=kind(lambda text, ctx: None))) as session:
        turn = await session.ask("Hm")
        assert bodies(session, UtteranceDropped)[0].reason == "vetoed by after_transcribe"
    assert (turn.agent_text, llm.requests, session.history) == ("", [], ())


# --- before_llm


@both
async def test_before_llm_changes_the_messages_once_a_turn(kind: Callable[..., Any]) -> None:
    calls: list[HookContext] = []

    def hook(messages: list[dict[str, Any]], ctx: HookContext) -> list[dict[str, Any]]:
        calls.append(ctx)
        messages[-1]["content"] += "!"
        return [{"role": "system", "content": "Be brief."}, *messages]

    llm = ScriptedLLM([Call("look"), "Found.", "Yes."])
    async with talking(llm=llm, tools=[look], hooks=PipelineHooks(before_llm=kind(hook))) as session:
        await session.ask("Look")
        await session.ask("Again")
    assert [request.messages[0]["content"] for request in llm.requests] == ["Be brief."] * 3
    assert [request.user_text for request in llm.requests] == ["Look!", "Look!", "Again!"]
    assert len(calls) == 2
    assert session.history[0] == {"role": "user", "content": "Look"}, "what the hook is given is not what history is made of"
    assert [message["role"] for message in calls[1].history] == ["user", "assistant", "tool", "assistant"]


def look() -> str:
    return "there"


async def test_before_llm_none_keeps_the_messages() -> None:
    llm = ScriptedLLM(["Hi."])
    async with talking(llm=llm, hooks=PipelineHooks(before_llm=lambda messages, ctx: None)) as session:
        await session.ask("Hello")
    assert llm.requests[0].messages == ({"role": "user", "content": "Hello"},)


# --- after_llm


async def test_on_chunk_changes_every_chunk_and_other_values_keep_it() -> None:
    async with talking(llm=ScriptedLLM(["one two three"] * 2), hooks=PipelineHooks(after_llm=AfterLLM(on_chunk=str.upper))) as session:
        assert (await session.ask("Count.")).agent_text == "ONE TWO THREE"
        session.use(hooks=PipelineHooks(after_llm=AfterLLM(on_chunk=lambda text: None)))  # type: ignore[arg-type, return-value]
        assert (await session.ask("Count.")).agent_text == "one two three"


@both
async def test_on_sentence_changes_keeps_and_drops(kind: Callable[..., Any]) -> None:
    changes = {"First, we go out. ": "", "Then we come back home. ": "We come back. "}
    hook = kind(lambda text, ctx: changes.get(text))
    tts = ScriptedTTS()
    reply = "First, we go out. Then we come back home. Then we sleep well."
    async with talking(llm=ScriptedLLM([reply]), tts=tts, hooks=PipelineHooks(after_llm=AfterLLM(on_sentence=hook))) as session:
        turn = await session.ask("What now?")
    assert tts.said == ["We come back.", "Then we sleep well."]
    assert turn.agent_text == turn.heard_text == session.history[-1]["content"] == "We come back. Then we sleep well."


@both
async def test_on_response_sees_the_whole_answer(kind: Callable[..., Any]) -> None:
    seen: list[str] = []

    def hook(text: str, ctx: HookContext) -> str | None:
        seen.append(text)
        return "Short." if len(seen) == 1 else None

    hooks = PipelineHooks(after_llm=AfterLLM(on_response=kind(hook)))
    async with talking(llm=ScriptedLLM([ANSWER, ANSWER]), hooks=hooks) as session:
        assert (await session.ask("Weather?")).agent_text == "Short."
        assert (await session.ask("Weather?")).agent_text == ANSWER
    assert seen == [ANSWER, ANSWER]


# --- around the voice


@both
async def test_before_synthesize_changes_and_skips(kind: Callable[..., Any]) -> None:
    hook = kind(lambda text, ctx: None if "hat" in text else text.replace("Rome", "rome"))
    tts = ScriptedTTS()
    async with talking(llm=ScriptedLLM([ANSWER]), tts=tts, hooks=PipelineHooks(before_synthesize=hook)) as session:
        turn = await session.ask("Weather?")
    assert tts.said == ["It is sunny in rome."]
    assert turn.agent_text == turn.heard_text == session.history[-1]["content"] == "It is sunny in Rome.", "what was skipped was not said"


@both
async def test_after_synthesize_changes_and_drops_blocks(kind: Callable[..., Any]) -> None:
    texts: set[str] = set()

    def hook(audio: bytes, text: str, ctx: HookContext) -> bytes | None:
        texts.add(text)
        return None if "Rome" in text else (np.frombuffer(audio, np.int16) // 2).astype(np.int16).tobytes()

    async with talking(llm=ScriptedLLM([ANSWER]), tts=ScriptedTTS(), hooks=PipelineHooks(after_synthesize=kind(hook))) as session:
        await session.ask("Weather?")
        assert {body.index for body in bodies(session, AudioSent)} == {1}
        assert int(np.asarray(session.audio.spoken).max()) <= 1000
    assert texts == {"It is sunny in Rome.", "Take a hat with you."}


# --- failures


@pytest.mark.parametrize(
    "hooks",
    [
        PipelineHooks(after_transcribe=fails),
        PipelineHooks(after_transcribe=later(fails)),
        PipelineHooks(after_transcribe=lambda text, ctx: 5),
        PipelineHooks(before_llm=fails),
        PipelineHooks(before_llm=lambda messages, ctx: "text"),
        PipelineHooks(before_llm=lambda messages, ctx: []),
        PipelineHooks(after_llm=AfterLLM(on_chunk=fails)),
        PipelineHooks(after_llm=AfterLLM(on_sentence=fails)),
        PipelineHooks(after_llm=AfterLLM(on_response=later(fails))),
        PipelineHooks(before_synthesize=later(fails)),
        PipelineHooks(before_synthesize=lambda text, ctx: 5),
        PipelineHooks(after_synthesize=fails),
        PipelineHooks(after_synthesize=lambda audio, text, ctx: b"odd"),
    ],
)
async def test_a_failing_hook_ends_the_turn_and_is_reported(hooks: PipelineHooks) -> None:
    async with talking(llm=ScriptedLLM([ANSWER] * 2), tts=ScriptedTTS(), hooks=hooks) as session:
        turn = await session.ask("Weather?")
        assert turn.status == "failed"
        assert [body.stage for body in bodies(session, StageFailed)] == ["hook"]
        assert bodies(session, StageFailed)[0].error is turn.error
        assert turn.heard_text == ""
        session.use(hooks=PipelineHooks(), llm=ScriptedLLM(["Fine."]))
        assert (await session.ask("Again?")).status == "completed"


async def test_a_hook_that_cancels_itself_is_a_failure_too() -> None:
    async def hook(text: str, ctx: HookContext) -> str:
        raise asyncio.CancelledError

    async with talking(llm=ScriptedLLM(["Fine."]), hooks=PipelineHooks(after_transcribe=hook)) as session:
        turn = await session.ask("Hm?")
        assert (turn.status, "CancelledError" in str(turn.error)) == ("failed", True)
        session.use(hooks=PipelineHooks())
        assert (await session.ask("Again?")).status == "completed"


def test_after_llm_may_be_a_dict_and_is_checked() -> None:
    assert PipelineHooks(after_llm={"on_sentence": fails}).after_llm == AfterLLM(on_sentence=fails)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Did you mean on_sentence="):
        PipelineHooks(after_llm={"on_sentense": fails})  # type: ignore[arg-type]
    with pytest.raises(PatterConfigError, match="after_llm"):
        PipelineHooks(after_llm=fails)  # type: ignore[arg-type]
