"""A cell whose text is the system prompt, in IPython itself."""

from __future__ import annotations

import subprocess
import sys

import pytest
from IPython.core.interactiveshell import InteractiveShell
from talking import talking

from patter_nb.agent import Agent
from patter_nb.errors import PatterConfigError
from patter_nb.events import AgentChanged
from patter_nb.magics import prompt
from patter_nb.patter import Patter, live_session
from patter_nb.testing import ScriptedLLM


async def test_a_cell_is_the_prompt_of_main_or_of_the_one_that_is_named() -> None:
    async with (
        Patter().serve(Agent(llm=ScriptedLLM([]), system_prompt="Be kind.")) as main,
        talking(llm=ScriptedLLM([])) as other,
    ):
        changed = prompt("", "\nBe brief.\nAsk once.\n")
        assert (
            changed
            == main.events.of(AgentChanged)[-1].body
            == AgentChanged({"system_prompt": ("Be kind.", "Be brief.\nAsk once.")}, "turn")
        )
        assert (main.system_prompt, other.system_prompt) == ("Be brief.\nAsk once.", "")
        prompt(" test ", "Be long.")
        assert (main.system_prompt, other.system_prompt) == ("Be brief.\nAsk once.", "Be long.")
        with pytest.raises(PatterConfigError, match=r"No session named 'tset' is live.*'main', 'test'"):
            prompt("tset", "Be there.")


async def test_without_main_it_is_the_only_one_and_of_several_none() -> None:
    async with talking(llm=ScriptedLLM([])) as session:
        assert live_session() is session
        async with Patter().serve(Agent(llm=ScriptedLLM([])), name="newer"):
            with pytest.raises(PatterConfigError, match=r"Several sessions are live.*'test', 'newer'"):
                prompt("", "Be there.")
    with pytest.raises(PatterConfigError, match=r"No session is live.*Patter\(\)\.serve"):
        prompt("", "Be there.")


async def test_ipython_loads_it_and_runs_the_cell() -> None:
    shell = InteractiveShell()
    shell.run_line_magic("load_ext", "patter_nb")
    async with Patter().serve(Agent(llm=ScriptedLLM([]))) as session:
        shown = shell.run_cell_magic("prompt", "", "Be {kind}.\n")
        assert session.system_prompt == "Be {kind}."
    assert shown._repr_mimebundle_()["text/plain"].endswith("+ Be {kind}.")


def test_nothing_of_ipython_is_imported_by_itself() -> None:
    code = "import sys, patter_nb, patter_nb.magics; sys.exit('IPython' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
