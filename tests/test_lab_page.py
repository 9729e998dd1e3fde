"""docs/lab.md is a promise: its cells run one after the other as they stand, and print what they say."""

from __future__ import annotations

import ast
import contextlib
import io
import re
from pathlib import Path
from typing import Any

from patter_nb.session import Session

PAGE = (Path(__file__).parent.parent / "docs" / "lab.md").read_text("utf-8")
CELLS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


async def test_its_cells_do_what_they_say() -> None:
    names: dict[str, Any] = {}
    for cell in CELLS:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            work = eval(compile(cell, "lab.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
            if work is not None:
                await work
        assert printed.getvalue().splitlines() == re.findall(r"print\(.*\)  # (.*)", cell)


def test_what_it_names_is_there() -> None:
    named = set(re.findall(r"session\.(\w+)", PAGE))
    assert {"pause_at", "resume", "use", "latency", "timeline", "costs", "spans"} <= named
    assert not [name for name in named if not hasattr(Session, name) and name not in ("turns", "llm")]
