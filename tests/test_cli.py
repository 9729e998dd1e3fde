"""The commands as a person meets them: what they print, how they end, and what they leave behind."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from patter_nb import cli, downloads
from patter_nb.audio.wav import read_wav, write_wav
from patter_nb.downloads import ARTIFACTS, Status

QUESTION = Path(__file__).parent.parent / "notebooks" / "question.wav"
ASKED = "What's the weather in Paris?"

AGENTS = """
from patter_nb import Patter, TurnTaking
from patter_nb.testing import Call, RecordedVAD, ScriptedLLM, ScriptedSTT, ScriptedTTS

def get_weather(city: str) -> str:
    "Tell the weather in a city."
    return f"Sunny in {city}"

def agent(heard, *replies):
    return Patter().agent(
        llm=ScriptedLLM(replies), stt=ScriptedSTT([heard]), tts=ScriptedTTS(ms_per_char=5), vad=RecordedVAD.speaking((0, 200)),
        tools=[get_weather], turn_taking=TurnTaking(endpointing_ms=200),
    )

def answering():
    return agent("What's the weather in Paris?", Call("get_weather", {"city": "Paris"}), "It is sunny in Paris. Enjoy it!")

def failing():
    return agent("What's the weather in Paris?", ["It is. ", RuntimeError("the cable was cut")])

def hearing_nothing():
    return agent("")

def deaf_mute():
    return Patter().agent(llm=ScriptedLLM([]))

def broken():
    return 1 / 0

made = answering()
number = 7
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with 0.3 s of sound in q.wav, and agents to name in agents.py."""
    write_wav(tmp_path / "q.wav", np.full(4800, 1000, np.int16), 16_000)
    (tmp_path / "agents.py").write_text(AGENTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "agents", raising=False)
    return tmp_path


def events_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


# --- call


def test_a_call_prints_the_conversation_and_keeps_sound_and_events(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["call", "q.wav", "a.wav", "--agent", "agents:answering", "--events", "e.jsonl"]) == 0
    said = capsys.readouterr()
    *conversation, figures = said.out.splitlines()
    assert conversation == [
        f"you: {ASKED}",
        "tool get_weather(city=Paris) -> Sunny in Paris",
        "agent: It is sunny in Paris.",
        "agent: Enjoy it!",
    ]
    assert figures.startswith("1 answered: end of speech noticed after ")
    assert said.err == ""
    answer, rate = read_wav("a.wav")
    assert rate == 16_000
    assert not answer[:3200].any()
    assert answer[3200:].any()
    events = events_of(here / "e.jsonl")
    assert [event["seq"] for event in events] == list(range(len(events)))
    types = {event["type"] for event in events}
    assert types >= {"session_started", "transcript_final", "tool_ended", "audio_sent", "turn_heard", "session_stopped"}


@pytest.mark.parametrize("name", ["answering", "made"])
def test_an_agent_is_named_by_itself_or_by_the_function_that_makes_it(here: Path, name: str) -> None:
    assert cli.main(["call", "q.wav", "a.wav", "--agent", f"agents:{name}"]) == 0


def test_a_failed_turn_is_exit_status_1_with_what_was_said_so_far(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["call", "q.wav", "a.wav", "--agent", "agents:failing", "--events", "e.jsonl"]) == 1
    said = capsys.readouterr()
    assert said.out.splitlines()[:2] == [f"you: {ASKED}", "llm failed: llm failed: RuntimeError: the cable was cut"]
    error, remedy = said.err.splitlines()
    assert error == "error: llm failed: RuntimeError: the cable was cut"
    assert remedy.startswith("remedy: ")
    assert read_wav("a.wav")[0].any()
    assert "stage_failed" in {event["type"] for event in events_of(here / "e.jsonl")}


def test_debug_shows_where_it_failed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["call", "q.wav", "a.wav", "--agent", "agents:failing", "--debug"]) == 1
    assert "Traceback" in (error := capsys.readouterr().err)
    assert "RuntimeError: the cable was cut" in error


def test_a_recording_without_words_is_no_success(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["call", "q.wav", "a.wav", "--agent", "agents:hearing_nothing"]) == 1
    said = capsys.readouterr()
    assert "(not answered: no words were heard)" in said.out
    assert said.err.startswith("error: Nothing in the recording was answered.\nremedy: ")


@pytest.mark.parametrize(
    ("agent", "status", "error"),
    [
        ("agents", 2, "'agents' does not name an agent."),
        ("agents:", 2, "'agents:' does not name an agent."),
        ("nowhere:agent", 2, "There is no module nowhere"),
        ("nowhere.at.all:agent", 2, "There is no module nowhere.at.all"),
        ("agents:nobody", 2, "The module agents has no nobody."),
        ("agents:number", 2, "agents:number is int, not an agent."),
        ("agents:deaf_mute", 2, "The agent agents:deaf_mute cannot take a call: it has no stt."),
        ("agents:broken", 1, "agents:broken could not be made: ZeroDivisionError: division by zero"),
        ("wants:agent", 1, "wants:agent could not be made: ModuleNotFoundError: No module named 'something_not_installed'"),
    ],
)
def test_what_is_no_agent_is_named(here: Path, capsys: pytest.CaptureFixture[str], agent: str, status: int, error: str) -> None:
    (here / "wants.py").write_text("import something_not_installed")
    assert cli.main(["call", "q.wav", "a.wav", "--agent", agent]) == status
    said = capsys.readouterr()
    assert said.err.startswith(f"error: {error}")
    assert "\nremedy: " in said.err
    assert not (here / "a.wav").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (["nothing.wav", "a.wav"], 1, "There is no file nothing.wav"),
        (["agents.py", "a.wav"], 1, "agents.py"),
        (["q.wav", "folder"], 1, "folder"),
        (["q.wav", "missing/a.wav"], 1, "missing"),
        (["q.wav", "q.wav"], 1, "q.wav is the question itself"),
        (["q.wav", "a.wav", "--events", "folder"], 1, "folder"),
        (["q.wav", "a.wav", "--events", "a.wav"], 2, "--events would write over a.wav."),
        (["q.wav", "a.wav", "--events", "../{name}/q.wav"], 2, "--events would write over q.wav."),
    ],
)
def test_paths_are_checked_before_anything_is_loaded(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, error: str
) -> None:
    (here / "folder").mkdir()
    arguments = [argument.format(name=here.name) for argument in arguments]
    before = {path: path.read_bytes() for path in here.iterdir() if path.is_file()}
    assert cli.main(["call", *arguments, "--agent", "agents:answering"]) == status
    said = capsys.readouterr()
    assert error in said.err.splitlines()[0]
    assert said.err.startswith("error: ")
    assert "\nremedy: " in said.err
    assert "Traceback" not in said.err
    assert "agents" not in sys.modules
    assert {path: path.read_bytes() for path in here.iterdir() if path.is_file()} == before


@pytest.mark.models
def test_the_demo_agent_answers_a_spoken_question(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["call", str(QUESTION), "a.wav", "--events", "e.jsonl"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"you: {ASKED}\n")
    assert "\ntool get_weather(city=Paris) -> In Paris it is rainy and 19 degrees. I made that up.\n" in said.out
    assert said.err == ""
    question, answer = read_wav(QUESTION)[0], read_wav("a.wav")[0]
    assert len(answer) > len(question)
    assert not answer[: len(question) // 2].any()


# --- download


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[object]]:
    """`asked(state)`: let `download` find every model in this state; what it was called with goes to the list."""

    def answer(state: str) -> list[object]:
        calls: list[object] = []

        def download(names: list[str], *, check: bool) -> tuple[Status, ...]:
            calls.append((names, check))
            return tuple(Status(ARTIFACTS[name], state, None) for name in names or ["joe"])  # type: ignore[arg-type]

        monkeypatch.setattr(downloads, "download", download)
        return calls

    return answer


@pytest.mark.parametrize(
    ("arguments", "state", "status", "call"),
    [
        ([], "right", 0, ([], False)),
        (["joe", "silero"], "right", 0, (["joe", "silero"], False)),
        (["--check"], "right", 0, ([], True)),
        (["--check", "joe"], "missing", 1, (["joe"], True)),
        (["--check"], "wrong", 1, ([], True)),
    ],
)
def test_download_ends_well_only_when_every_model_is_right(
    asked: Callable[[str], list[object]], capsys: pytest.CaptureFixture[str], arguments: list[str], state: str, status: int, call: object
) -> None:
    calls = asked(state)
    assert cli.main(["download", *arguments]) == status
    assert calls == [call]
    assert ("remedy: Run: patter-nb download" in capsys.readouterr().err) == bool(status)


def test_an_unknown_model_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["download", "joey"]) == 2
    assert capsys.readouterr().err.startswith("error: There is no model 'joey' to download.\nremedy: Choose from smollm2, ")


@pytest.mark.models
def test_the_models_of_this_machine_are_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["download", "--check"]) == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [[name, "right"] for name in downloads.local_models()]


# --- the command line itself


@pytest.mark.parametrize("arguments", [[], ["sing"], ["call", "q.wav"], ["download", "--fast"], ["lab"], ["verify"]])
def test_what_cannot_be_parsed_is_wrong_use(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert dedent(capsys.readouterr().err).startswith("usage: patter-nb")
