"""docs/testing.md is a promise: its Python runs as it stands and prints what it says, and what fails there fails in these words."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from patter_nb import OpenAILLM, testing
from patter_nb.testing import Call, Expectation, WireServer, expect

pytest_plugins = ["pytester"]

PAGE = (Path(__file__).parent.parent.parent / "docs" / "testing.md").read_text("utf-8")
TALK, TEST, JUDGE, CALLER, SPOKEN = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
(FAILURE,) = re.findall(r"^```text\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


async def run(cell: str, names: dict[str, Any]) -> None:
    """Run a cell as a notebook does, and compare what it prints with the comments behind."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        work = eval(compile(cell, "testing.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
        if work is not None:
            await work
    promised = re.findall(r"print\(.*\)  # (.*)", cell)
    assert promised and printed.getvalue().splitlines() == promised


def verdict(score: float, reason: str) -> str:
    return json.dumps({"score": score, "reason": reason})


async def test_a_turn_and_what_is_told_where_an_expectation_fails() -> None:
    names: dict[str, Any] = {}
    await run(TALK, names)
    with pytest.raises(AssertionError) as caught:
        await expect(names["turn"]).tool_called("get_weather", city="Oslo")
    assert re.sub(r"in [\d.]+ m?s", "in 1 ms", str(caught.value)) == FAILURE.rstrip()


async def test_a_judge_and_a_caller_of_a_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    names: dict[str, Any] = {}
    await run(TALK, names)
    async with WireServer([verdict(0.9, "It does."), verdict(0.4, "It does not greet.")]) as server:
        monkeypatch.setattr(OpenAILLM, "default_base_url", server.openai_url)
        await run(JUDGE, names)
    bye = Call("hang_up", {"goal_reached": True, "reason": "I know it."})
    talk = ["How warm is it?", "Where?", "In Rome.", Call("get_weather", {"city": "Rome"}), "It is 18 degrees.", bye]
    async with WireServer([*talk, verdict(1, "It does.")]) as server:
        monkeypatch.setattr(OpenAILLM, "default_base_url", server.openai_url)
        await run(CALLER, names)


@pytest.mark.models
async def test_a_caller_who_speaks() -> None:
    names: dict[str, Any] = {}
    await run(TALK, names)
    await run("from patter_nb.testing import Caller\n" + SPOKEN, names)


def test_a_test_in_pytest(pytester: pytest.Pytester) -> None:
    agent = TALK.partition("llm = ")[0]
    pytester.makepyfile(test_it=agent + TEST)
    pytester.runpytest_subprocess("--asyncio-mode=auto").assert_outcomes(passed=1)


def test_the_page_tells_all_there_is() -> None:
    checks = {name for name in vars(Expectation) if not name.startswith("_")}
    assert {name for name in checks if f"{name}(" not in PAGE} == set()
    untold = {"Conversation", "Expectation", "RealRequestBlocked", "Request", "Verdict"}
    assert {name for name in testing.__all__ if not re.search(rf"\b{name}\b", PAGE)} == untold
