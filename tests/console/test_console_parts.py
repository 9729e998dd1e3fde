"""The small parts of the console: modules joined, routing told, recordings decoded, the door in a process without a notebook."""

from __future__ import annotations

import io
import threading
import wave
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from talking import talking

from patter_nb import console
from patter_nb.console import modules, nodelay, routing
from patter_nb.console.push_to_talk import decoded, push_to_talk
from patter_nb.console.recording import example
from patter_nb.console.transport import ConsoleTransport
from patter_nb.errors import AudioError, PatterConfigError
from patter_nb.patter import Patter
from patter_nb.testing import ScriptedLLM

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def test_modules_are_joined_each_once_after_what_they_import(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\nimport { c } from "./c.js";\nexport const a = b + c;\n', "utf-8")
    (tmp_path / "b.js").write_text('import { c } from "./c.js";\nexport const b = c;\n', "utf-8")
    (tmp_path / "c.js").write_text("export const c = 1;\nexport default { c };\n", "utf-8")
    text = modules.joined(tmp_path / "a.js")
    assert [line for line in text.splitlines() if line] == ["const c = 1;", "export default { c };", "const b = c;", "const a = b + c;"]


def test_modules_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\nexport const a = 1;\n', "utf-8")
    (tmp_path / "b.js").write_text('import { a } from "./a.js";\nexport const b = 1;\n', "utf-8")
    with pytest.raises(ValueError, match=r"a\.js imports itself by way of b\.js"):
        modules.joined(tmp_path / "a.js")


def test_the_page_is_one_module_without_imports() -> None:
    text = modules.page_module()
    assert "\nimport " not in text
    assert text.count("export ") == 1
    assert text.rstrip().endswith("export default { render };")
    assert "registerProcessor" in modules.worklet_source()
    assert ".patter" in modules.style_sheet()


@pytest.mark.parametrize(
    ("kernel", "main", "elsewhere"), [((6, 31), False, False), ((7, 1), False, True), ((7, 4), True, True), (None, True, True)]
)
def test_routing_by_version_and_thread(
    kernel: tuple[int, int] | None, main: bool, elsewhere: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routing, "kernel_version", lambda: kernel)
    assert routing.arrives_while_awaited(threading.main_thread()) is main
    assert routing.arrives_while_awaited(threading.Thread()) is elsewhere


async def test_waiting_for_what_cannot_arrive_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "kernel_version", lambda: (6, 31))
    async with talking(transport=ConsoleTransport(), llm=ScriptedLLM(["Fine."])) as session:
        for waiting in (session.wait, session.wait_turn):
            with pytest.raises(PatterConfigError, match="delivers nothing") as caught:
                await waiting()
            assert 'runtime="thread"' in str(caught.value.hint)
        assert (await session.ask("typed in a cell")).agent_text == "Fine."


def test_the_example_is_the_notebooks_question() -> None:
    pcm, rate = example()
    assert rate == 16_000
    assert len(pcm) > rate
    carried = Path(console.__file__).with_name("question.wav").read_bytes()
    assert carried == (NOTEBOOKS / "question.wav").read_bytes()


def recording(rate: int, seconds: float) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(rate)
        tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate)).astype(np.int16)
        out.writeframes(np.repeat(tone, 2).tobytes())
    return file.getvalue()


def test_a_recording_is_decoded_to_what_the_session_hears() -> None:
    pcm = decoded(recording(44_100, 0.5))
    assert abs(len(pcm) - 8_000) <= 320
    loud = np.abs(np.fft.rfft(pcm.astype(float)))
    assert abs(int(np.argmax(loud)) * 16_000 / len(pcm) - 440) < 5


@pytest.mark.parametrize("rubbish", [b"", b"no sound at all"])
def test_what_is_no_recording_is_an_audio_error(rubbish: bytes) -> None:
    with pytest.raises(AudioError, match="could not be decoded"):
        decoded(rubbish)


async def test_push_to_talk_needs_a_session_that_hears_pages() -> None:
    async with talking(llm=ScriptedLLM([])) as session:
        with pytest.raises(PatterConfigError, match="hears no page"):
            push_to_talk(session)


def test_the_extension_sends_at_once_and_then_does_what_the_server_does() -> None:
    done: list[Any] = []

    class Connection:
        websocket_handler = SimpleNamespace(set_nodelay=lambda value: done.append(("nodelay", value)))

        def connect(self) -> str:
            done.append("connect")
            return "connected"

    app = SimpleNamespace(
        web_app=SimpleNamespace(settings={"kernel_websocket_connection_class": Connection}), log=SimpleNamespace(info=lambda *told: None)
    )
    nodelay._load_jupyter_server_extension(app)
    assert app.web_app.settings["kernel_websocket_connection_class"]().connect() == "connected"
    assert done == [("nodelay", True), "connect"]


async def test_outside_a_notebook_a_session_is_shown_as_a_static_picture(capsys: pytest.CaptureFixture[str]) -> None:
    async with talking(llm=ScriptedLLM(["Fine."])) as session:
        await session.ask("How are you?")
        assert not console.is_here()
        session._ipython_display_()
        report = session.doctor()
    assert "Fine." in capsys.readouterr().out
    assert "keyboard" in str(report).lower()
    assert "llm" in str(report)


async def test_in_a_notebook_each_session_has_a_console_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "is_here", lambda: True)
    agent = Patter().agent(llm=ScriptedLLM([]))
    async with Patter().serve(agent, name="one") as one, Patter().serve(agent, name="two") as two:
        assert isinstance(one.transport, ConsoleTransport)
        assert isinstance(two.transport, ConsoleTransport)
        assert one.transport is not two.transport
