"""A stranger's first minutes: an empty virtual environment, the README's command as it is written, and an answer in a file.

And an environment with the extra `whisper`, which `test` does not bring: the tests that are skipped without it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from patter_nb.audio.wav import read_wav

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
TEST = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]["test"]


def readme_commands() -> list[str]:
    """The indented lines of the README that begin with pip."""
    return re.findall(r"^    (pip install .*)$", (ROOT / "README.md").read_text(), re.MULTILINE)


def fresh(home: Path) -> dict[str, str]:
    """A new virtual environment in `home`; the variables of a process in it."""
    venv.create(home, with_pip=True)
    bin = home / ("Scripts" if sys.platform == "win32" else "bin")
    environment = {**os.environ, "PATH": f"{bin}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    return environment


@pytest.mark.models
def test_the_command_of_the_readme_answers_the_question(tmp_path: Path) -> None:
    house = tmp_path / "patter_nb"
    shutil.copytree(ROOT, house, ignore=shutil.ignore_patterns(".git", ".*_cache", "__pycache__", ".hypothesis", ".venv", "node_modules"))
    environment = fresh(tmp_path / "venv")
    command = next(command for command in readme_commands() if "patter-nb call" in command)
    done = subprocess.run(command, shell=True, cwd=house, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "you: What's the weather in Paris?" in done.stdout
    assert "tool get_weather(city=Paris)" in done.stdout
    pcm, rate = read_wav(house / "answer.wav")
    assert rate == 16_000 and abs(pcm).max() > 1000
    types = [json.loads(line)["type"] for line in (house / "events.jsonl").read_text().splitlines()]
    assert types[0] == "session_started" and "tool_called" in types and "playback_started" in types and types[-2] == "session_stopped"


WHISPER = (
    "tests/stt/test_whisper.py",
    "tests/stt/test_stt_conformance.py::test_so_do_the_recognisers_without_a_vendor[whisper-here]",
    "tests/test_rows_speech.py::test_row_12_36_two_sessions_never_share_ears[WhisperSTT-here]",
)


def test_whisper_passes_its_tests_where_its_extra_is_installed(tmp_path: Path) -> None:
    environment = fresh(tmp_path / "venv")
    tools = [f'"{requirement}"' for requirement in TEST if Requirement(requirement).name in ("pytest", "pytest-asyncio")]
    assert len(tools) == 2
    commands = (
        f'python -m pip install --quiet --no-compile --editable ".[whisper]" {" ".join(tools)}',
        f"python -m pytest -p no:cacheprovider -rs {' '.join(WHISPER)}",
    )
    for command in commands:
        done = subprocess.run(command, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert re.fullmatch(r"=+ \d+ passed in .*", done.stdout.strip().splitlines()[-1]), done.stdout[-3000:]
