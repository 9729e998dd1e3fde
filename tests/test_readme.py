"""The README is a promise: its Python runs as it stands and prints what it says, its paths exist, its commands are the ones there are."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shlex
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from patter_nb import AnthropicLLM, OpenAILLM, cli
from patter_nb.testing import WireServer
from patter_nb.testing.wire import Usage

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
CELLS = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
TYPED, SCRIPTED, TESTED, VENDORS, TAKING = CELLS
LINKS = re.findall(r"\]\(((?!https?:)[^)#]+)", README)


async def run(cell: str) -> str:
    """What a cell prints when a notebook runs it."""
    code = compile(cell, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        work: Coroutine[Any, Any, None] | None = eval(code, {"__name__": "readme"})
        if work is not None:
            await work
    return printed.getvalue()


def promised(cell: str) -> str:
    """The comments after what it prints."""
    return "".join(f"{line}\n" for line in re.findall(r"print\(.*\)  # (.*)", cell))


@pytest.mark.models
async def test_the_first_example_talks_with_the_local_model() -> None:
    assert promised(TYPED)
    assert await run(TYPED) == promised(TYPED)


async def test_the_second_example_needs_no_extra() -> None:
    assert promised(SCRIPTED)
    assert await run(SCRIPTED) == promised(SCRIPTED)


async def test_the_third_example_calls_the_agent_of_the_second() -> None:
    assert promised(TESTED)
    assert await run(SCRIPTED + TESTED) == promised(SCRIPTED) + promised(TESTED)


async def test_the_fourth_example_changes_the_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    assert promised(VENDORS)
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "test-key")
    async with WireServer(["Software that you speak with.", ["Listener.", Usage(40, 3)]]) as server:
        monkeypatch.setattr(OpenAILLM, "default_base_url", server.openai_url)
        monkeypatch.setitem(AnthropicLLM.__init__.__kwdefaults__, "base_url", server.anthropic_url)
        assert await run(VENDORS) == promised(VENDORS)


async def test_the_fifth_example_makes_an_agent() -> None:
    assert promised(TAKING)
    assert await run(TAKING) == promised(TAKING)


def test_its_commands_parse_and_name_files_that_are_there() -> None:
    commands = [shlex.split(command) for command in re.findall(r"patter-nb \w+[^&`\n]*", README)]
    assert {command[1] for command in commands} == {"download", "call", "lab"}
    for _, *arguments in commands:
        options = cli._parser().parse_args(arguments)
        assert options.command != "call" or (ROOT / options.question).is_file()


@pytest.mark.parametrize("link", LINKS)
def test_its_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_the_house_it_draws_is_the_house_that_stands() -> None:
    drawing = README.partition("## The house")[2]
    rooms = set(re.findall(r"\b(\w+)/", drawing)) - {"patter_nb", "tests", "bench", "docs"}
    assert rooms == {path.name for path in (ROOT / "patter_nb").iterdir() if (path / "__init__.py").is_file()}
