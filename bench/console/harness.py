"""The tests' kernels and browser for benches: what tests/kernel and tests/browser bring, on the path and by name."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).parents[2] / "tests"
sys.path[:0] = [str(TESTS / "kernel"), str(TESTS / "browser")]

from chromium import Setup, chromium  # noqa: E402  # found by the line above
from console_page import ConsolePage, frame, shown  # noqa: E402
from kernel_envs import python_with  # noqa: E402
from kernel_page import running_kernel  # noqa: E402
from lab_page import Lab, notebook_open  # noqa: E402
from lab_server import running_lab  # noqa: E402
from microphone import Recordings  # noqa: E402

__all__ = [
    "ConsolePage",
    "Lab",
    "Recordings",
    "Setup",
    "chromium",
    "frame",
    "notebook_open",
    "python_with",
    "running_kernel",
    "running_lab",
    "shown",
]
