"""The one record of a session: numbered, stamped, complete, and written so that anything can read it."""

from __future__ import annotations

import asyncio
import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from talking import Microphone, one_utterance, settle, silence, talking

from patter_nb.agent import Guardrail
from patter_nb.clock import ManualClock
from patter_nb.errors import PatterError, ServerError
from patter_nb.events import (
    EVENT_TYPES,
    Event,
    LLMChunked,
    MicrophoneMuted,
    PlaybackStarted,
    SessionStarted,
    SpeechStarted,
    SpeechStopped,
    StageFailed,
    TranscriptFinal,
    TurnStarted,
)
from patter_nb.events.plain import body_to_dict
from patter_nb.llm.base import LLMChunk
from patter_nb.log import Log
from patter_nb.step import State, step
from patter_nb.step.inputs import FrameHeard, Input
from patter_nb.step.scene import Happened
from patter_nb.stt.base import Word
from patter_nb.testing import Call, RecordedVAD, ScriptedLLM, ScriptedSTT, ScriptedTTS


def look(city: str) -> str:
    return f"{city}: ☀"


async def test_a_whole_conversation_is_written_and_read_again(tmp_path: Path) -> None:
    llm = ScriptedLLM(
        [
            [Call("look", {"city": "Köln"}), LLMChunk("usage", input_tokens=1)],
            "In Köln it is sunny.",
            ServerError("down", status=500),
            "Hm, a secret.",
        ]
    )
    parts: dict[str, Any] = {
        "stt": ScriptedSTT([["Wie", "Wie ist es?"], "And?", "Tell me."]),
        "vad": RecordedVAD.speaking((500, 1500), (6000, 7000), (10_000, 11_000)),
        "guardrails": [Guardrail("g", blocked_terms=["secret"])],
        "first_message": "Hi!",
        "error_message": "Sorry.",
    }
    async with talking(transport=silence(14), llm=llm, tts=ScriptedTTS(), tools=[look], **parts) as session:
        session.use(system_prompt="Be ☀.")
        await session.wait()
    path = tmp_path / "events.jsonl"
    session.events.write(path)
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [row["seq"] for row in rows] == list(range(len(session.events)))
    for stamp in ("t_ms", "wall_s", "epoch"):
        assert all(before[stamp] <= after[stamp] for before, after in pairwise(rows)), stamp
    assert {row["type"] for row in rows} <= set(EVENT_TYPES)
    for row, event in zip(rows, session.events, strict=True):
        fields = EVENT_TYPES[row["type"]].__dataclass_fields__  # type: ignore[attr-defined]  # every body is a dataclass
        wanted = {name for name, field in fields.items() if not field.metadata.get("left_out_when_empty")}
        assert {"seq", "t_ms", "wall_s", "epoch", "turn", "type"} | wanted <= set(row)
        left_out = {*fields} - set(row)
        assert not any(getattr(event.body, name) for name in left_out), left_out
        assert row == json.loads(json.dumps(event.to_dict()))
    failed = next(row for row in rows if row["type"] == "stage_failed")
    assert failed["error"] == {"type": "ServerError", "message": "down", "status": 500}
    assert {"speech_started", "transcript_partial", "tool_ended", "guardrail_hit", "audio_sent", "playback_started", "turn_heard"} <= {
        row["type"] for row in rows
    }
    assert "Köln" in path.read_text("utf-8"), "people read it too"


def test_words_and_their_times_are_written_and_read_again() -> None:
    log, target = Log(16_000), io.StringIO()
    words = (Word("It", 20.0625, 1 / 3, 0.9), Word("is", 0.0), Word(""), Word("☀", 1e6, 2e6, 0.0))
    log.append(Happened(None, 1, TranscriptFinal("It is ☀", 0.5, words)), 0.0, 0.0)
    log.append(Happened(None, 1, TranscriptFinal("It is")), 0.0, 0.0)
    log.write(target)
    first, second = map(json.loads, target.getvalue().splitlines())
    assert tuple(Word(**word) for word in first["words"]) == words
    assert first["words"][1:3] == [{"text": "is", "start_ms": 0.0}, {"text": ""}], "what was not told is not there"
    assert "words" not in second


def log_of(*contents: str) -> Log:
    log = Log(16_000)
    for content in contents:
        log.append(Happened(1, 1, LLMChunked(1, LLMChunk("text", content=content))), 0.0, 0.0)
    return log


@pytest.mark.parametrize("content", ["a\nb\r\u2028c", "\x00\x1b[31m", "\ud83d", '"\\', "日本語"])
def test_any_text_can_be_written_on_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "events.jsonl"
    log_of(content, "next").write(path)
    lines = path.read_bytes().decode("utf-8").split("\n")
    assert len(lines) == 3 and lines[-1] == ""
    assert json.loads(lines[0])["chunk"]["content"] == content


def test_it_can_be_written_into_an_open_file() -> None:
    target = io.StringIO()
    log_of("Hi").write(target)
    assert json.loads(target.getvalue())["type"] == "llm_chunk"


def test_a_path_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PatterError, match=r"nowhere.*cannot be written") as raised:
        log_of("Hi").write(tmp_path / "nowhere" / "events.jsonl")
    assert raised.value.hint


def test_a_log_that_fails_to_be_written_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    log, path = log_of("Hi"), tmp_path / "events.jsonl"
    log._events.append(None)  # type: ignore[arg-type]  # writing breaks off after the first line
    path.write_text("before")
    with pytest.raises(AttributeError):
        log.write(path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_json_does_not_have_is_null(number: float) -> None:
    log, target = Log(16_000), io.StringIO()
    log.append(Happened(1, 1, TranscriptFinal("Hi", number)), 0.0, 0.0)
    log.append(Happened(1, 1, LLMChunked(1, LLMChunk("text", extra={"at": [1.5, number]}))), 0.0, 0.0)
    log.write(target)
    rows = [json.loads(line, parse_constant=pytest.fail) for line in target.getvalue().splitlines()]
    assert rows[0]["confidence"] is None
    assert rows[1]["chunk"]["extra"] == {"at": [1.5, None]}


def test_numbers_and_stamps_are_the_logs_own() -> None:
    log = Log(24_000)
    first = log.append(Happened(None, 0, SessionStarted({}, 24_000)), 1.5, 0.25)
    second = log.append(Happened(3, 2, MicrophoneMuted(True)), 2.5, 0.5)
    assert [(event.seq, event.t_ms, event.wall_s, event.epoch, event.turn) for event in (first, second)] == [
        (0, 1.5, 0.25, 0, None),
        (1, 2.5, 0.5, 2, 3),
    ]
    assert (len(log), log[0], log[-1], log[:1], list(log)) == (2, first, second, [first], [first, second])
    assert log.of(MicrophoneMuted) == [second]
    assert log.of(StageFailed) == []
    assert log.spoken.rate == 24_000
    assert repr(log) == "<Log: 2 events, 0.0 s heard, 0.0 s spoken>"


def test_listeners_are_told_until_they_end_it() -> None:
    log, told = Log(16_000), []
    unsubscribe = log.subscribe(lambda event: told.append(event.seq))
    log.append(Happened(None, 0, MicrophoneMuted(True)), 0, 0)
    unsubscribe()
    unsubscribe()
    log.append(Happened(None, 0, MicrophoneMuted(False)), 0, 0)
    assert told == [0]


def test_a_listener_may_end_itself_while_it_is_told() -> None:
    log, told = Log(16_000), []

    def once(event: Event) -> None:
        told.append("first")
        unsubscribe()

    unsubscribe = log.subscribe(once)
    log.subscribe(lambda event: told.append("second"))
    log.append(Happened(None, 0, MicrophoneMuted(True)), 0, 0)
    log.append(Happened(None, 0, MicrophoneMuted(True)), 0, 0)
    assert told == ["first", "second", "second"]


class Loading(ScriptedLLM):
    """Takes four seconds of the clock to be loaded."""

    def __init__(self, replies: Any, clock: ManualClock) -> None:
        super().__init__(replies)
        self._clock = clock

    async def warmup(self) -> None:
        self._clock.advance(4000)


async def test_both_times_begin_when_the_session_goes_live_however_old_its_clock() -> None:
    clock = ManualClock()
    clock.advance(1000)
    async with talking(clock=clock, llm=Loading(["Hello."], clock)) as session:
        clock.advance(250)
        await session.ask("Hi")
    (started,), (asked,) = session.events.of(SessionStarted), session.events.of(TurnStarted)
    assert [(event.t_ms, event.wall_s) for event in (started, asked)] == [(0, 0), (250, 0.25)]


async def test_frames_and_cursor_are_on_the_time_of_the_events() -> None:
    transport = silence(3)
    assert isinstance(transport.clock, ManualClock)
    llm = Loading(["Hello."], transport.clock)
    async with talking(transport=transport, llm=llm, stt=ScriptedSTT(["Hi"]), vad=one_utterance(), tts=ScriptedTTS()) as session:
        await session.wait()
    frames, cursor = np.asarray(session.events.frames), np.asarray(session.events.cursor)
    assert frames["t_ms"].tolist() == [20.0 * (n + 1) for n in range(len(frames))]
    assert not frames["late_ms"].any()
    (sounded,) = session.events.of(PlaybackStarted)
    assert cursor["t_ms"][0] == sounded.t_ms
    first_sound = int(np.flatnonzero(transport.record)[0])
    assert 0 <= sounded.t_ms * 16 - first_sound <= 320, "the recording is on it too"


async def test_frames_and_cursor_lie_beside_the_events() -> None:
    parts: dict[str, Any] = {"stt": ScriptedSTT(["Hi"]), "vad": one_utterance(), "tts": ScriptedTTS()}
    async with talking(transport=silence(3), llm=ScriptedLLM(["Hello."]), **parts) as session:
        await session.wait()
    frames, cursor = np.asarray(session.events.frames), np.asarray(session.events.cursor)
    assert (np.diff(frames["t_ms"]) == 20).all()
    assert (np.diff(frames["after_seq"].astype(int)) >= 0).all()
    assert set(np.flatnonzero(frames["probability"] > 0.5)) == set(range(25, 75))
    assert (np.diff(cursor["position"].astype(int)) > 0).all()
    assert cursor["position"][-1] == len(session.events.spoken)


async def test_a_frame_stands_where_the_session_took_it_in() -> None:
    parts: dict[str, Any] = {"stt": ScriptedSTT(["Hi"]), "vad": one_utterance(), "tts": ScriptedTTS()}
    async with talking(transport=silence(3), llm=ScriptedLLM(["Hello."]), first_message="Hi!", **parts) as session:
        await session.wait()
    rows = {float(row["t_ms"]): row for row in np.asarray(session.events.frames)}
    for event in session.events.of(SpeechStarted, SpeechStopped):
        assert rows[event.t_ms]["after_seq"] == event.seq


async def test_what_the_session_decided_on_is_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[float] = []

    def watching(state: State, now_ms: float, given: Input) -> Any:
        if isinstance(given, FrameHeard):
            taken.append(given.probability)
        return step(state, now_ms, given)

    monkeypatch.setattr("patter_nb.conductor.step", watching)
    measured = np.random.default_rng(3).uniform(0.0, 0.4, 60)
    async with talking(transport=silence(1), llm=ScriptedLLM([]), stt=ScriptedSTT([]), vad=RecordedVAD(measured)) as session:
        await session.wait()
    kept = np.asarray(session.events.frames)["probability"]
    assert [float(probability) for probability in kept] == taken
    assert np.allclose(kept[:50], measured[:50], atol=1e-7)


async def test_a_frame_that_nothing_measured_has_no_probability() -> None:
    async with talking(transport=Microphone(), llm=ScriptedLLM([])) as session:
        await session.wait()
    kept = np.asarray(session.events.frames)["probability"]
    assert len(kept) == 50
    assert np.isnan(kept).all()


async def test_a_long_conversation_grows_by_what_was_said_and_no_more() -> None:
    turns = 120
    tts = ScriptedTTS(ms_per_char=1)
    async with talking(
        clock=ManualClock(), llm=ScriptedLLM([[Call("look", {"city": "Rome"})], "It is sunny there."] * turns), tools=[look], tts=tts
    ) as session:
        listeners = len(session.events._listeners)
        sizes: list[int] = []
        tasks: list[int] = []
        for _ in range(turns):
            before = len(session.events)
            await session.ask("What is the weather like?", timeout_s=60)
            await settle()
            sizes.append(
                sum(len(json.dumps(event.to_dict()["messages"])) for event in session.events[before:] if event.type == "llm_requested")
            )
            tasks.append(len(asyncio.all_tasks()))
        assert sizes[-1] <= sizes[0] + 40, "a request is logged with its own turn's messages, not with all of history"
        assert tasks[-1] == tasks[0]
        assert len(session.events._listeners) == listeners
        assert len(session._conductor.tasks._running) <= 4
        assert len(session._conductor._pipeline._thinker._checks) <= 1
        assert len(session._conductor._pipeline._thinker._tools) <= 1
        assert all(len(turn._marks) <= 10 for turn in session.turns)
        assert len(session.events) / turns == pytest.approx(len(session.events[: len(session.events) // 2]) / (turns / 2), rel=0.1)


@pytest.mark.parametrize(("unpaced", "told"), [(False, {}), (True, {"unpaced": True})])
def test_a_session_says_where_its_sound_runs_faster_than_real_time(unpaced: bool, told: dict[str, bool]) -> None:
    assert body_to_dict(SessionStarted({}, 24_000, unpaced)) == {"parts": {}, "sample_rate": 24_000, **told}
