"""The console where people have it besides JupyterLab: Notebook 7 and Voila, each typed to and spoken to once.

Both are extensions of the Jupyter server that these tests run; where one is not installed its test is skipped (pip install notebook voila).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import nbformat
import pytest
from chromium import OpenBrowser, Setup
from lab_server import LabServer
from person import serving

if TYPE_CHECKING:
    from playwright.async_api import Error, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PATIENCE_MS = 60_000
SERVE = serving("You typed.", "You spoke.", heard=("It rains.",), speaks_ms=((500, 1300),))


@asynccontextmanager
async def opened(browser: OpenBrowser, server: LabServer, name: str, path: str) -> AsyncIterator[Page]:
    """A page of the front end at `path` with a notebook that serves a session and shows it.

    An exception that nothing in it caught fails the test, unless it is the front end's own (Notebook 7.6 has one as it starts).
    """
    cells = [nbformat.v4.new_code_cell(SERVE), nbformat.v4.new_code_cell("session")]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), server.notebooks / f"{name}.ipynb")
    page = await (await browser(Setup())).new_page()
    page.set_default_timeout(PATIENCE_MS)
    errors: list[str] = []
    page.on("pageerror", lambda error: None if _is_foreign(error) else errors.append(error.stack or error.message))
    await page.goto(server.address(f"{path}/{name}.ipynb"))
    yield page
    assert not errors, "in the page:\n" + "\n".join(errors)


def _is_foreign(error: Error) -> bool:
    frames = [line for line in (error.stack or "").splitlines() if "http" in line]
    return bool(frames) and all("/static/" in frame for frame in frames)


async def converse(page: Page) -> None:
    """Type to the agent, then speak to it; it hears the microphone's frames, or nothing would be said."""
    await page.get_by_role("textbox", name="Message").fill("Anybody there?")
    await page.get_by_role("button", name="Send", exact=True).click()
    transcript = page.get_by_role("region", name="Transcript", exact=True)
    await transcript.get_by_text("You typed.").wait_for()
    await page.get_by_role("button", name="Talk").click()
    await transcript.get_by_text("It rains.").wait_for()
    await transcript.get_by_text("You spoke.").wait_for()


async def test_in_notebook_7(browser: OpenBrowser, lab_server: LabServer) -> None:
    pytest.importorskip("notebook", reason="notebook is not installed")
    async with opened(browser, lab_server, "in-notebook", "notebooks") as page:
        for number in range(2):
            await page.locator(".jp-CodeCell .jp-Editor").nth(number).click()
            await page.keyboard.press("Shift+Enter")
        await converse(page)


async def test_in_voila(browser: OpenBrowser, lab_server: LabServer) -> None:
    pytest.importorskip("voila", reason="voila is not installed")
    async with opened(browser, lab_server, "in-voila", "voila/render") as page:
        await converse(page)
