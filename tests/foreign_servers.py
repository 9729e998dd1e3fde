"""What others wrote in JavaScript, for tests: npm's packages, and servers that run until the end of a block.

Without node or a registry such a test skips; in CI it fails.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

AIMOCK = "@copilotkit/aimock@1.43.0"
STARTS_S = 30.0


def missing(why: str) -> NoReturn:
    pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)


def program(name: str) -> str:
    """The path of node or npm."""
    return shutil.which(name) or missing(f"{name} not found, so nothing is tested against what others wrote (node 20 or later)")


def installed(*command: str, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, encoding="utf-8", timeout=240, check=False)
    if done.returncode:
        missing(f"{command[-1]} cannot be installed: {done.stderr[-500:]}")


@contextmanager
def running(command: Sequence[str], folder: Path, port: int, environment: Mapping[str, str]) -> Iterator[None]:
    """The server, from when it listens until the end of the block."""
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=dict(environment)) as process:
        try:
            until = time.monotonic() + STARTS_S
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > until:
                    pytest.fail(f"{command[0]} does not listen: {(folder / 'log').read_text()[-2000:]}")
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:  # it waits for answers that nobody does
                process.kill()


def _listens(port: int) -> bool:
    with socket.socket() as own:
        return own.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        return int(own.getsockname()[1])


@contextmanager
def running_aimock(folder: Path, fixtures: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The address of an aimock that answers by `fixtures`, installed in `folder`."""
    npm, node, port = program("npm"), program("node"), free_port()
    installed(npm, "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(folder), AIMOCK)
    (folder / "fixtures.json").write_text(json.dumps({"fixtures": fixtures}), "utf-8")
    options = ["-p", str(port), "-h", "127.0.0.1", "-f", "fixtures.json", "--chunk-size", "8", "--validate-on-load", "--strict"]
    with running([node, "node_modules/.bin/llmock", *options], folder, port, os.environ):
        yield f"http://127.0.0.1:{port}"
