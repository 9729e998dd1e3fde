"""A real Chromium in a real JupyterLab. Where one of them is missing the tests skip, and in CI they fail.

    async def test_it(lab: OpenLab, record: Recordings) -> None:
        page = await lab("import mine", "mine.show()", microphone=await record(0.5, QUESTION, 1.0))
        await page.run(0)
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from chromium import OpenBrowser, Setup, chromium, executable
from lab_page import Lab, OpenLab, notebook_open
from lab_server import LabServer, running_lab
from microphone import Recordings

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext

HERE = Path(__file__).parent
REPORTS = pytest.StashKey[dict[str, pytest.TestReport]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash.setdefault(REPORTS, {})[report.when] = report
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Once more where it failed: a fake microphone plays on whether or not a busy machine keeps up with it. What is broken fails twice."""
    for item in items:
        if item.path.parent == HERE:
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session")
def needed() -> None:
    """What no Python package brings, and what the extras lab and test bring."""
    missing = [f"the package {name}" for name in ("jupyterlab", "anywidget", "playwright") if importlib.util.find_spec(name) is None]
    if executable() is None:
        missing.append("Chromium (Debian: apt-get install chromium)")
    if missing:
        why = f"{' and '.join(missing)} not found, so nothing can be said of the notebook's face"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)


@pytest.fixture(scope="session")
def lab_server(needed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """One JupyterLab for all tests."""
    with running_lab(tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    """Makes recordings for `microphone=`: `await record(0.5, "Hello.", 2.0, QUESTION)`."""
    return Recordings(tmp_path_factory.mktemp("recordings"))


@pytest.fixture
async def browser(needed: None, record: Recordings) -> AsyncIterator[OpenBrowser]:
    """Opens a Chromium: `await browser(Setup(microphone=...))`."""
    async with AsyncExitStack() as stack:

        async def open(setup: Setup = Setup()) -> BrowserContext:  # noqa: B008  # frozen
            return await stack.enter_async_context(chromium(setup, await record(1.0)))

        yield open


@pytest.fixture
async def lab(lab_server: LabServer, browser: OpenBrowser, request: pytest.FixtureRequest) -> AsyncIterator[OpenLab]:
    """Opens notebooks. An exception that nothing in a page caught fails the test; a test that failed leaves a screenshot."""
    node = request.node
    name = re.sub(r"\W+", "-", node.name).strip("-")
    opened: list[Lab] = []
    async with AsyncExitStack() as stack:

        async def open(*cells: str, **setup: Any) -> Lab:
            wanted = Setup(**setup)
            context = await browser(wanted)
            notebook = notebook_open(context, lab_server, f"{name}-{len(opened)}", cells, insecure=wanted.insecure, policy=wanted.policy)
            opened.append(await stack.enter_async_context(notebook))
            return opened[-1]

        yield open
        report = node.stash[REPORTS].get("call")
        if report is not None and report.failed:
            for page in opened:
                node.add_report_section("teardown", "screenshot", str(await page.screenshot(f"failed-{page.notebook.stem}")))
                node.add_report_section("teardown", "the page's console", "\n".join(page.console_errors))
            node.add_report_section("teardown", "JupyterLab", lab_server.log.read_text("utf-8", "replace")[-3000:])
        errors = [error for page in opened for error in page.page_errors]
    assert not errors, "in the page:\n" + "\n".join(errors)
