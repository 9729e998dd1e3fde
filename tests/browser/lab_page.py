"""A notebook in JupyterLab as its user has it before them: run cells, read what came out, hear the page, break the kernel, reload.

Chromium takes whatever Playwright does in a page, a look at a locator too, for a click of the user, after which sound may play. What is
done here by `js` does not count: all of `Lab` but `screenshot` and what gives a locator.
"""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any, Literal, Protocol

from jupyter_client.asynchronous.client import AsyncKernelClient
from lab_server import LabServer
from page_sound import Played, Sound, mixed, tracks

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, CDPSession, ConsoleMessage, Error, Locator, Page, Route, WebSocket

SCREENSHOTS = Path(os.environ.get("PATTER_SCREENSHOTS") or Path(__file__).parent / ".screenshots")
PATIENCE_S = 30.0
"""How long anything in the page may take. JupyterLab opens in 5 s on two cores, and takes many more beside other tests."""

IDLE = """() => {
  const panel = window.jupyterapp?.shell.currentWidget;
  const session = panel?.context?.isReady && panel.sessionContext?.isReady && panel.sessionContext.session;
  return !!session && session.kernel.connectionStatus === "connected" && session.kernel.status === "idle" && session.kernel.id;
}"""
CELL = "window.jupyterapp.shell.currentWidget.content.widgets[index].model"
RUN = """async (index) => {
  window.jupyterapp.shell.currentWidget.content.activeCellIndex = index;
  await window.jupyterapp.commands.execute("notebook:run-cell");
}"""


@dataclass(slots=True)
class Traffic:
    """What went over the page's websockets: messages and bytes up (from the page) and down, and when the last one went (monotonic)."""

    up: int = 0
    down: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    last: float = field(default_factory=time.monotonic)

    def watch(self, socket: WebSocket) -> None:
        socket.on("framesent", lambda payload: self._count(len(payload), up=True))
        socket.on("framereceived", lambda payload: self._count(len(payload), up=False))

    def _count(self, size: int, *, up: bool) -> None:
        self.last = time.monotonic()
        if up:
            self.up, self.bytes_up = self.up + 1, self.bytes_up + size
        else:
            self.down, self.bytes_down = self.down + 1, self.bytes_down + size


class Lab:
    """One notebook, open in one page. `page` is Playwright's, for mouse, keyboard and locators.

    `page_errors` are the exceptions that nothing in the page caught; any that is left there at the end fails the test.
    `console_errors` are the console's lines of level error, and exceptions of JupyterLab's own (it has one when a page becomes narrow).
    """

    def __init__(self, page: Page, cdp: CDPSession, server: LabServer, notebook: Path) -> None:
        self.page = page
        self.notebook = notebook
        self.page_errors: list[str] = []
        self.console_errors: list[str] = []
        self.traffic = Traffic()
        self._cdp = cdp
        self._server = server
        self._client: AsyncKernelClient | None = None
        self._heard: list[Played] = []
        self._reloads, self._fetched = 0, 0
        page.on("pageerror", self._page_error)
        page.on("console", self._console)
        page.on("websocket", lambda socket: self.traffic.watch(socket))  # noqa: PLW0108  # Playwright puts attributes on a method's object

    async def js(self, function: str, *args: Any) -> Any:
        """What the JavaScript `function` returns for `args` (both ways JSON). Promises are awaited. An exception is an AssertionError."""
        expression = f"({function})({', '.join(map(json.dumps, args))})"
        told = await self._cdp.send(
            "Runtime.evaluate", {"expression": expression, "awaitPromise": True, "returnByValue": True, "userGesture": False}
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"].get("exception", {}).get("description", told["exceptionDetails"])
        return told["result"].get("value")

    async def until(self, condition: str | Callable[[], Awaitable[Any]], *args: Any, timeout_s: float = PATIENCE_S) -> Any:
        """Wait until `condition`, a JavaScript function or an async function, gives something true, and return that.

        It is asked ten times a second; what it runs in the kernel is seen by the page, too.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while not (value := await (self.js(condition, *args) if isinstance(condition, str) else condition())):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)  # page and kernel are other processes, which set no event here
                return value
        except TimeoutError:
            what = condition if isinstance(condition, str) else getattr(condition, "__qualname__", condition)
            raise AssertionError(f"waited {timeout_s:.0f} s in vain for {what}") from None

    async def idle(self) -> str:
        """Wait until the kernel is connected and idle; its id."""
        return str(await self.until(IDLE))

    async def run(self, index: int, *, wait: bool = True, fails: bool = False) -> str:
        """Run cell `index` (from 0). With `wait`, until it has ended: its text output; an exception fails the test unless it `fails`.

        Without `wait`, until the kernel has taken it up: the text so far. `finished` waits for the rest.
        """
        if not wait:
            await self.js(f"(index) => void ({RUN})(index)", index)
            await self.until(f'(index) => {CELL}.executionState === "running"', index)
            return await self.output(index)
        await self.js(RUN, index)
        return await self.finished(index, fails=fails)

    async def finished(self, index: int, *, fails: bool = False) -> str:
        """Wait until cell `index` has its execution count; its text output. An exception in it fails the test unless it `fails`."""
        await self.until(f'(index) => {CELL}.executionState === "idle" && {CELL}.executionCount', index)
        text = await self.output(index)
        errors = [output["traceback"] for output in await self.outputs(index) if output["output_type"] == "error"]
        assert bool(errors) is fails, _plain(errors[0]) if errors else f"cell {index} raised nothing: {text}"
        return text

    async def outputs(self, index: int) -> list[dict[str, Any]]:
        """The outputs of cell `index` in nbformat."""
        outputs: list[dict[str, Any]] = await self.js(f"(index) => {CELL}.outputs.toJSON()", index)
        return outputs

    async def output(self, index: int) -> str:
        """What cell `index` printed, the text of what it showed, and "name: message" of its exception."""
        return "".join(map(_text, await self.outputs(index)))

    def cell(self, index: int) -> Locator:
        """Cell `index` in the page."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def region(self, name: str) -> Locator:
        """A widget's region by its accessible name."""
        return self.page.get_by_role("region", name=name, exact=True)

    async def reload(self, *, save: bool = True) -> None:
        """Load the page again, as F5 does, with the kernel going on; wait until the notebook is there. `save` saves it before."""
        if save:
            await self.command("docmanager:save")
        await self.heard()
        self._reloads, self._fetched = self._reloads + 1, 0
        await self.page.reload()
        await self.idle()

    async def restart(self) -> None:
        """Restart the kernel, and wait until it is idle."""
        await self.command("notebook:restart-kernel")
        self._disconnect()
        await self.idle()

    async def interrupt(self) -> None:
        """Interrupt the kernel, as the stop button does."""
        await self.command("notebook:interrupt-kernel")

    async def command(self, name: str, **args: Any) -> None:
        """Carry out a command of JupyterLab's, and wait until it is done."""
        await self.js("async (name, args) => { await window.jupyterapp.commands.execute(name, args); }", name, args)

    async def execute(self, code: str) -> str:
        """Run `code` in the notebook's kernel, but not from the page; what it printed and the text of its last expression.

        Waits for its turn behind a running cell. An exception is an AssertionError.
        """
        if self._client is None:
            self._client = await _client(self._server.runtime / f"kernel-{await self.idle()}.json")
        outputs: list[dict[str, Any]] = []

        def take(message: dict[str, Any]) -> None:
            if message["msg_type"] in ("stream", "execute_result", "display_data", "error"):
                outputs.append({"output_type": message["msg_type"], **message["content"]})

        reply = await self._client.execute_interactive(code, store_history=False, allow_stdin=False, timeout=PATIENCE_S, output_hook=take)
        assert reply["content"]["status"] == "ok", _plain(reply["content"]["traceback"])
        return "".join(map(_text, outputs))

    async def value(self, expression: str) -> Any:
        """The value of a Python `expression` in the notebook's kernel, if it is made of literals."""
        return ast.literal_eval(await self.execute(f"print(repr({expression}), end='')"))

    async def microphones(self) -> int:
        """How many microphones are open in the page."""
        return int(await self.js("() => window.__microphones?.() ?? 0"))

    async def theme(self, name: Literal["light", "dark"]) -> None:
        """Switch JupyterLab's theme, and wait until the page is seen again."""
        await self.command("apputils:change-theme", theme=f"JupyterLab {name.capitalize()}")
        await self.until("(light) => document.body.dataset.jpThemeLight === light", str(name == "light").lower())
        await self.until("() => document.getElementById('jupyterlab-splash') === null")

    async def resize(self, width: int, height: int = 900) -> None:
        """Give the page this size in CSS pixels."""
        await self.page.set_viewport_size({"width": width, "height": height})

    async def output_width(self, width: int) -> None:
        """Resize the page so that the outputs of the first cell are `width` CSS pixels wide."""

        async def fits() -> bool:
            page, output = await self.js("() => [window.innerWidth, document.querySelector('.jp-Cell-outputArea').clientWidth]")
            if output != width:
                await self.resize(max(page + width - output, 200))
            return bool(output == width)

        await self.until(fits)

    async def screenshot(self, name: str, of: Locator | None = None) -> Path:
        """A picture of the page, or of a part of it, as `name`.png among the artifacts."""
        path = SCREENSHOTS / f"{name}.png"
        await (of or self.page).screenshot(path=path)
        return path

    async def quiet(self, *, for_ms: float = 500.0) -> None:
        """Wait until nothing has gone over the page's websockets for a while. An open microphone grants no such while."""

        async def silent() -> bool:
            return time.monotonic() - self.traffic.last >= for_ms / 1000

        await self.until(silent)

    async def tracks(self) -> list[Sound]:
        """What each AudioContext has played since the notebook was opened, sample by sample at its own rate."""
        told = await self.js("(since) => window.__heard?.(since) ?? []", self._fetched)
        self._fetched += len(told)
        self._heard += (Played.of(block, self._reloads) for block in told)
        return tracks(self._heard)

    async def heard(self) -> Sound:
        """What the page has played since the notebook was opened, at 16 kHz, as a person would have heard it."""
        return mixed(await self.tracks())

    def _page_error(self, error: Error) -> None:
        frames = [line for line in (error.stack or "").splitlines() if line.lstrip().startswith("at ")]
        jupyterlabs = bool(frames) and all("/static/lab/" in frame for frame in frames)
        (self.console_errors if jupyterlabs else self.page_errors).append(f"{error.stack or f'{error.name}: {error.message}'}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.console_errors.append(f"{message.text} ({message.location['url']})")

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.stop_channels()
            self._client = None

    async def close(self) -> None:
        """End the kernel."""
        self._disconnect()
        async with self._server.api() as api:
            for session in (await api.get("api/sessions")).raise_for_status().json():
                if session["path"] == self.notebook.name:
                    (await api.delete(f"api/sessions/{session['id']}")).raise_for_status()


class OpenLab(Protocol):
    """Opens a notebook of these code cells; keywords are those of `chromium.Setup`."""

    async def __call__(self, *cells: str, **setup: Any) -> Lab: ...


@asynccontextmanager
async def notebook_open(
    context: BrowserContext, server: LabServer, name: str, cells: Sequence[str], *, insecure: bool = False, policy: str = ""
) -> AsyncIterator[Lab]:
    """JupyterLab with a new notebook of these code cells, its kernel idle, until the end of the block."""
    notebook = server.notebooks / f"{name}.ipynb"
    notebook.write_text(json.dumps(_notebook(cells)), "utf-8")
    server.forget_settings()
    page = await context.new_page()
    lab = Lab(page, await context.new_cdp_session(page), server, notebook)
    try:
        if policy:
            await context.grant_permissions(["local-network-access"])  # a page that came by a route counts as one from elsewhere
            await page.route("**/lab/workspaces/**", lambda route: _under_policy(route, policy))
        await page.goto(server.address(f"lab/workspaces/{name}/tree/{notebook.name}", insecure=insecure))
        await lab.idle()
        await lab.command("application:toggle-left-area")  # the list of files; in a narrow page it would take all the room
        yield lab
    finally:
        await lab.close()


async def _under_policy(route: Route, policy: str) -> None:
    response = await route.fetch()
    await route.fulfill(response=response, headers={**response.headers, "permissions-policy": policy})


async def _client(connection_file: Path) -> AsyncKernelClient:
    """A client that sees what the kernel publishes. (`wait_for_ready` waits for silence, which a microphone does not grant.)"""
    client = AsyncKernelClient(connection_file=str(connection_file))
    client.load_connection_file()
    client.start_channels(stdin=False, hb=False, control=False)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            asked = client.kernel_info()
            with suppress(Empty):
                while (await client.get_iopub_msg(timeout=1))["parent_header"].get("msg_id") != asked:
                    pass
                return client


def _notebook(cells: Sequence[str]) -> dict[str, Any]:
    code: list[dict[str, Any]] = [
        {"cell_type": "code", "id": f"cell-{index}", "metadata": {}, "execution_count": None, "outputs": [], "source": source}
        for index, source in enumerate(cells)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": code}


def _text(output: dict[str, Any]) -> str:
    if output["output_type"] == "stream":
        return "".join(output["text"])
    if output["output_type"] == "error":
        return f"{output['ename']}: {output['evalue']}"
    return "".join(output["data"].get("text/plain", ""))


def _plain(traceback: Sequence[str]) -> str:
    """IPython's traceback without its colours."""
    return re.sub(r"\x1b\[[\d;]*m", "", "\n".join(traceback))
