"""The page's own checks: types by tsc, behaviour by vitest. Without node they skip; in CI they fail."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

JS = Path(__file__).parent / "js"


@pytest.fixture(scope="module")
def npm() -> str:
    """npm, with what the checks need installed."""
    found = shutil.which("npm")
    if found is None or shutil.which("node") is None:
        why = "node and npm not found, so the page's modules are not checked (node 20 or later)"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    run(found, "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error")
    return found


def run(*command: str) -> None:
    ran = subprocess.run(command, cwd=JS, capture_output=True, encoding="utf-8", timeout=280, check=False)
    assert ran.returncode == 0, f"{' '.join(command[1:])}\n{ran.stdout}\n{ran.stderr}"


def test_the_types_fit(npm: str) -> None:
    run(npm, "run", "--silent", "check")


def test_the_modules_do_what_they_say(npm: str) -> None:
    run(npm, "run", "--silent", "test")
