"""A stranger's first minutes: an empty virtual environment, the README's command as it is written, and an answer in a file."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from patter_nb.audio.wav import read_wav

pytestmark = [pytest.mark.slow, pytest.mark.models]

ROOT = Path(__file__).parent.parent


def readme_commands() -> list[str]:
    """The indented lines of the README that begin with pip."""
    return re.findall(r"^    (pip install .*)$", (ROOT / "README.md").read_text(), re.MULTILINE)


def test_the_command_of_the_readme_answers_the_question(tmp_path: Path) -> None:
    house = tmp_path / "patter_nb"
    shutil.copytree(ROOT, house, ignore=shutil.ignore_patterns(".git", ".*_cache", "__pycache__", ".hypothesis", ".venv", "node_modules"))
    venv.create(tmp_path / "venv", with_pip=True)
    bin = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    environment = {**os.environ, "PATH": f"{bin}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    command = next(command for command in readme_commands() if "patter-nb call" in command)
    done = subprocess.run(command, shell=True, cwd=house, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "you: What's the weather in Paris?" in done.stdout
    assert "tool get_weather(city=Paris)" in done.stdout
    pcm, rate = read_wav(house / "answer.wav")
    assert rate == 16_000 and abs(pcm).max() > 1000
    types = [json.loads(line)["type"] for line in (house / "events.jsonl").read_text().splitlines()]
    assert types[0] == "session_started" and "tool_called" in types and "playback_started" in types and types[-2] == "session_stopped"
