"""A call with the local stack reaches no other machine. Told by the kernel, for native code opens connections that Python never sees.

The same call with onnxruntime let loose is the control: it must be caught, or the watching proves nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pytest

from patter_nb.audio.wav import read_wav, write_wav

QUESTION = Path(__file__).parent.parent / "notebooks" / "question.wav"
ALIVE_S = 10
"""onnxruntime's reporter waits for some seconds before it looks its server up."""
KEPT = ("PATH", "HOME", "USER", "TMPDIR", "LANG", "LD_LIBRARY_PATH", "XDG_DATA_HOME", "XDG_CACHE_HOME", "PYTHONPATH")
"""Of the environment, only this: onnxruntime reports nothing where a variable such as CI says that no person is there."""

CALL = "import sys; from patter_nb.cli import main; sys.exit(main(sys.argv[1:]))"
LET_LOOSE = f"import onnxruntime; {CALL}"
"""onnxruntime asks for the variable when it is imported, which here is before patter_nb can set it."""

ADDRESS = re.compile(r'sin6?_port=htons\((\d+)\).*?(?:inet_addr\(|inet_pton\(AF_INET6, )"([^"]+)"')


def outward(trace: str) -> list[str]:
    """The system calls of `trace` (strace's) that are meant for another machine, or ask for another machine's address.

    >>> outward('7 connect(3, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("93.184.216.34")}, 16) = 0')
    ['7 connect(3, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("93.184.216.34")}, 16) = 0']
    >>> outward('7 connect(3, {sa_family=AF_INET6, sin6_port=htons(53), inet_pton(AF_INET6, "::1", &sin6_addr)}, 28) = 0') != []
    True
    >>> outward('7 connect(3, {sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr("127.0.0.1")}, 16) = 0')
    []
    """
    reaching = [line for line in trace.splitlines() if re.search(r"\b(connect|sendto|sendmsg|sendmmsg)\(", line)]
    return [line for line in reaching if "io.systemd.Resolve" in line or any(_is_outside(*found) for found in ADDRESS.findall(line))]


def _is_outside(port: str, address: str) -> bool:
    return port == "53" or not ip_address(address).is_loopback


def traced(code: str, folder: Path) -> str:
    """What `code` does with the network while it lets the demo agent answer a question, which is followed by silence to stay alive in."""
    if shutil.which("strace") is None:
        missing = "strace is not installed, so nothing can be said of the network"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    pcm, rate = read_wav(QUESTION)
    write_wav(folder / "question.wav", np.concatenate([pcm, np.zeros(ALIVE_S * rate, np.int16)]), rate)
    watch = ["strace", "-f", "-e", "trace=network", "-o", "trace"]
    command = [*watch, sys.executable, "-c", code, "call", "question.wav", "answer.wav"]
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "tool get_weather(city=Paris)" in ran.stdout
    return (folder / "trace").read_text()


@pytest.mark.models
def test_a_call_reaches_no_other_machine(tmp_path: Path) -> None:
    assert outward(traced(CALL, tmp_path)) == []


@pytest.mark.models
@pytest.mark.slow
def test_without_our_switch_the_same_call_is_caught(tmp_path: Path) -> None:
    assert [line for line in outward(traced(LET_LOOSE, tmp_path)) if "htons(53)" in line or "io.systemd.Resolve" in line]
