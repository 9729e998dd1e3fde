"""The commands as a person meets them: what they print, how they end, and what they leave behind."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from patter_nb import cli, downloads
from patter_nb.audio.wav import read_wav, write_wav
from patter_nb.downloads import ARTIFACTS, Status
from patter_nb.transports import wav
from patter_nb.transports.wav import WavTransport

QUESTION = Path(__file__).parent.parent / "notebooks" / "question.wav"
ASKED = "What's the weather in Paris?"
LOADING = "loading the models ...\n"

AGENTS = """
import os, sys
from patter_nb import Patter, PatterError, TurnTaking
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

def interrupted(at=1000):
    return Patter().agent(
        llm=ScriptedLLM(["One two three four five six.", "All right."]), stt=ScriptedSTT(["Count!", "Stop."]), tts=ScriptedTTS(),
        vad=RecordedVAD.speaking((0, 200), (at, at + 400)), turn_taking=TurnTaking(endpointing_ms=200),
    )

def interrupted_at_once():
    return interrupted(440)

class Loading(ScriptedLLM):
    async def warmup(self):
        print("now it is loaded", file=sys.stderr)
        if self.model == "broken":
            raise PatterError("half of it is missing")

def loading(model="script"):
    made = answering().replace(llm=Loading(["It is sunny."]))
    made.llm.model = model
    return made

def not_loading():
    return loading("broken")

def uprooting():
    os.rmdir("folder")
    return answering()

def deaf():
    return answering().replace(stt=None)

def mute():
    return answering().replace(tts=None)

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
    assert said.err == LOADING
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
    error, remedy = said.err.removeprefix(LOADING).splitlines()
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
    assert said.err.startswith(f"{LOADING}error: Nothing in the recording was answered.\nremedy: ")


def test_before_the_models_are_loaded_it_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["call", "q.wav", "a.wav", "--agent", "agents:loading"]) == 0
    assert capsys.readouterr().err == f"{LOADING}now it is loaded\n"


def test_a_model_that_cannot_be_loaded_is_a_failure(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["call", "q.wav", "a.wav", "--agent", "agents:not_loading"]) == 1
    assert capsys.readouterr().err == f"{LOADING}now it is loaded\nerror: half of it is missing\n"


def test_a_recording_that_cannot_be_written_in_the_end_is_a_failure(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "folder").mkdir()
    assert cli.main(["call", "q.wav", "folder/a.wav", "--agent", "agents:uprooting"]) == 1
    said = capsys.readouterr()
    assert "agent: It is sunny in Paris." in said.out
    assert "error: folder/a.wav cannot be written" in said.err


@pytest.mark.parametrize(
    ("agent", "told"),
    [
        ("interrupted", "     (interrupted after 640 ms; heard: One two)"),
        ("interrupted_at_once", "     (interrupted before the first word)"),
    ],
)
def test_an_interruption_is_told_with_what_was_heard(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], agent: str, told: str
) -> None:
    monkeypatch.setattr(wav, "WavTransport", partial(WavTransport, paced=False))
    assert cli.main(["call", "q.wav", "a.wav", "--agent", f"agents:{agent}"]) == 0
    conversation = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(("1 ", "2 ", "no answer"))]
    assert conversation == ["you: Count!", "agent: One two three four five six.", told, "you: Stop.", "agent: All right."]


@pytest.mark.parametrize(
    ("agent", "status", "error"),
    [
        ("agents", 2, "'agents' does not name an agent."),
        ("agents:", 2, "'agents:' does not name an agent."),
        ("nowhere:agent", 2, "There is no module nowhere"),
        ("nowhere.at.all:agent", 2, "There is no module nowhere.at.all"),
        ("agents:nobody", 2, "The module agents has no nobody."),
        ("agents:number", 2, "agents:number is int, not an agent."),
        ("agents:deaf", 2, "Nobody would hear the recording: the agent has no speech-to-text."),
        ("agents:mute", 2, "a.wav would be silent: the agent has no text-to-speech."),
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
    ("arguments", "error"),
    [
        (["nothing.wav", "a.wav"], "There is no file nothing.wav"),
        (["agents.py", "a.wav"], "agents.py"),
        (["q.wav", "folder"], "folder"),
        (["q.wav", "missing/a.wav"], "missing"),
        (["q.wav", "q.wav"], "q.wav is the question itself"),
        (["q.wav", "a.wav", "--events", "folder"], "folder"),
        (["q.wav", "a.wav", "--events", "missing/e.jsonl"], "missing"),
        (["q.wav", "a.wav", "--events", "a.wav"], "--events would write over a.wav."),
        (["q.wav", "a.wav", "--events", "../{name}/q.wav"], "--events would write over q.wav."),
    ],
)
def test_paths_that_cannot_be_used_are_wrong_use_before_anything_is_loaded(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], error: str
) -> None:
    (here / "folder").mkdir()
    arguments = [argument.format(name=here.name) for argument in arguments]
    before = {path: path.read_bytes() for path in here.iterdir() if path.is_file()}
    assert cli.main(["call", *arguments, "--agent", "agents:answering"]) == 2
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
    assert said.err == LOADING
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


@pytest.mark.parametrize("arguments", [[], ["sing"], ["call", "q.wav"], ["download", "--fast"], ["lab", "--port", "many"], ["verify"]])
def test_what_cannot_be_parsed_is_wrong_use(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert dedent(capsys.readouterr().err).startswith("usage: patter-nb")
