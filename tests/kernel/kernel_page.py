"""A front end without a browser: a test speaks to a real kernel over its sockets, as JupyterLab does for its page.

What comes from the kernel is filed as it arrives, in the order of arrival; a test looks at it, or waits with `until`.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.connect import write_connection_file

T = TypeVar("T")

PATIENCE_S = 30.0
TARGET, CONTROL_TARGET = "jupyter.widget", "jupyter.widget.control"
PROTOCOLS = {TARGET: "2.1.0", CONTROL_TARGET: "1.0.0"}
"""The versions that a comm_open must name (ipywidgets, packages/schema/messages.md)."""


@dataclass(frozen=True, slots=True)
class Message:
    """A custom message of a widget."""

    content: Any
    buffers: tuple[bytes, ...]


@dataclass(slots=True)
class Cell:
    """A piece of code that the kernel was asked to run, and what has come of it so far."""

    text: str = ""
    error: str | None = None
    replied: bool = False
    idle: bool = False

    @property
    def finished(self) -> bool:
        return self.replied and self.idle


@dataclass(slots=True)
class Widget:
    """A widget's model as a page has it: `state` is up to date, `messages` are the custom messages that came."""

    id: str
    state: dict[str, Any]
    page: KernelPage = field(repr=False)
    messages: list[Message] = field(default_factory=list)
    closed: bool = False

    @property
    def name(self) -> str:
        """The name of its class, for an anywidget; else the name of its model."""
        return str(self.state.get("_anywidget_id", self.state.get("_model_name"))).rpartition(".")[2]

    def send(self, content: Any, *buffers: bytes) -> None:
        """model.send(content, buffers)."""
        self.page.comm("comm_msg", self.id, {"method": "custom", "content": content}, buffers=buffers)

    def set(self, **state: Any) -> None:
        """model.set(...), and model.save_changes(). Values that are bytes travel as buffers."""
        self.state |= state
        binary = {name: value for name, value in state.items() if isinstance(value, bytes)}
        data = {"method": "update", "state": {name: value for name, value in state.items() if name not in binary}}
        self.page.comm("comm_msg", self.id, {**data, "buffer_paths": [[name] for name in binary]}, buffers=tuple(binary.values()))

    async def message(self, **content: Any) -> Message:
        """The first custom message whose content has these values; waits for it."""

        def first() -> Message | None:
            return next((message for message in self.messages if content.items() <= message.content.items()), None)

        found = await self.page.until(first)
        assert found is not None
        return found

    def take(self, data: Mapping[str, Any], buffers: tuple[bytes, ...]) -> None:
        """A comm message from the kernel."""
        if data["method"] == "custom":
            self.messages.append(Message(data["content"], buffers))
        elif data["method"] in ("update", "echo_update"):
            self.state |= _whole(data, buffers)


class KernelPage:
    """A page that shows widgets of one kernel.

    `widgets` are the models by comm id; `stray` is what was printed by no cell of this page. `subshell` is where its comm messages go,
    None for the main shell.
    """

    def __init__(self, connection_file: Path) -> None:
        self.widgets: dict[str, Widget] = {}
        self.stray: list[str] = []
        self.subshell: str | None = None
        self.features: tuple[str, ...] = ()
        self.connection_file = connection_file
        self._cells: dict[str, Cell] = {}
        self._replies: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._published = asyncio.Event()
        self._client = AsyncKernelClient(connection_file=str(connection_file))
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self, code: str, *, fails: bool = False) -> str:
        """Run a cell to its end; what it printed and the text of its last expression. An exception fails the test unless it `fails`."""
        return await self.finished(self.start(code), fails=fails)

    def start(self, code: str) -> Cell:
        """Ask the kernel to run a cell, and wait for nothing."""
        cell = Cell()
        message = self._client.session.msg("execute_request", {"code": code, "silent": False, "allow_stdin": False, "stop_on_error": True})
        self._cells[message["header"]["msg_id"]] = cell
        self._client.shell_channel.send(message)
        return cell

    async def finished(self, cell: Cell, *, fails: bool = False) -> str:
        """Wait for the end of a cell; its text."""
        await self.until(lambda: cell.finished)
        assert (cell.error is not None) is fails, cell.error or f"the cell raised nothing: {cell.text}"
        return cell.text

    async def until(self, condition: Callable[[], T], *, timeout_s: float = PATIENCE_S) -> T:
        """Wait until `condition()`, which changes only by what the kernel says, is true, and return that."""
        try:
            async with asyncio.timeout(timeout_s):
                while not (value := condition()):
                    for task in self._tasks:
                        if task.done():
                            task.result()  # raises what went wrong there
                    self._published.clear()
                    await self._published.wait()
                return value
        except TimeoutError:
            raise AssertionError(f"waited {timeout_s:.0f} s in vain for {condition.__qualname__}") from None

    async def widget(self, name: str) -> Widget:
        """The newest open widget whose class (for ipywidgets' own: model) has this name; waits for it."""

        def newest() -> Widget | None:
            return next((widget for widget in reversed(self.widgets.values()) if widget.name == name and not widget.closed), None)

        found = await self.until(newest)
        assert found is not None
        return found

    async def open_subshell(self) -> str:
        """From now on comm messages go to a subshell, one for all widgets: JupyterLab's commsOverSubshells, perCommTarget."""
        self.subshell = (await self._ask("control", "create_subshell_request", {}))["subshell_id"]
        return self.subshell

    async def close_subshell(self) -> None:
        """Let go of the subshell, as JupyterLab does with a notebook that is closed; comm messages go to the main shell."""
        await self._ask("control", "delete_subshell_request", {"subshell_id": self.subshell})
        self.subshell = None

    async def interrupt(self) -> None:
        """Interrupt the running cell."""
        await self._ask("control", "interrupt_request", {})

    def comm(self, kind: str, id: str, data: Any, *, buffers: Sequence[bytes] = (), **content: Any) -> None:
        """Send a comm_open, comm_msg or comm_close."""
        message = self._client.session.msg(kind, {"comm_id": id, "data": data, **content})
        message["header"]["subshell_id"] = self.subshell
        message["metadata"] = {"version": PROTOCOLS[content["target_name"]]} if kind == "comm_open" else {}
        message["buffers"] = list(buffers)
        self._client.shell_channel.send(message)

    async def restore(self) -> None:
        """Get the widgets that the kernel has already, as a page does that was reloaded."""
        known = (await self._ask("shell", "comm_info_request", {"target_name": TARGET}))["comms"]
        if not known:
            return
        control = Widget(uuid.uuid4().hex, {}, self)
        self.widgets[control.id] = control
        self.comm("comm_open", control.id, {}, target_name=CONTROL_TARGET)
        self.comm("comm_msg", control.id, {"method": "request_states"})
        await self.until(lambda: known.keys() <= self.widgets.keys())

    async def open(self, *, subshell: bool) -> None:
        """Connect; `subshell` as `open_subshell`, in a kernel that has them."""
        self._client.load_connection_file()
        self._client.start_channels(stdin=False, hb=False)
        self._tasks = [
            asyncio.create_task(self._read(self._client.get_iopub_msg, self._take_published)),
            asyncio.create_task(self._read(self._client.get_shell_msg, self._take_reply)),
            asyncio.create_task(self._read(self._client.get_control_msg, self._take_reply)),
        ]
        info: dict[str, Any] = {}
        seen = Cell()
        while not seen.idle:  # the subscription takes effect some time after it was asked for
            info = await self._ask("shell", "kernel_info_request", {}, seen)
            with suppress(AssertionError):
                await self.until(lambda: seen.idle, timeout_s=1)
        self.features = tuple(info.get("supported_features", ()))
        if subshell and "kernel subshells" in self.features:
            await self.open_subshell()

    async def close(self) -> None:
        """Leave; the kernel goes on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self._client.stop_channels()

    async def _ask(self, channel: str, kind: str, content: dict[str, Any], cell: Cell | None = None) -> dict[str, Any]:
        """The kernel's reply to a request; what it publishes meanwhile goes to `cell`."""
        message = self._client.session.msg(kind, content)
        asked = message["header"]["msg_id"]
        reply = self._replies[asked] = asyncio.get_running_loop().create_future()
        if cell is not None:
            self._cells[asked] = cell
        (self._client.shell_channel if channel == "shell" else self._client.control_channel).send(message)
        async with asyncio.timeout(PATIENCE_S):
            answer: dict[str, Any] = await reply
        return answer

    async def _read(self, get: Callable[[], Any], take: Callable[[dict[str, Any]], None]) -> None:
        try:
            while True:
                take(await get())
                self._published.set()
        finally:
            self._published.set()

    def _take_reply(self, message: dict[str, Any]) -> None:
        parent = message["parent_header"].get("msg_id")
        if parent in self._cells:
            self._cells[parent].replied = True
        if parent in self._replies:
            self._replies.pop(parent).set_result(message["content"])

    def _take_published(self, message: dict[str, Any]) -> None:
        kind, content = message["msg_type"], message["content"]
        cell = self._cells.get(message["parent_header"].get("msg_id"))
        buffers = tuple(map(bytes, message["buffers"]))
        if kind == "comm_open" and content["target_name"] == TARGET:
            self.widgets[content["comm_id"]] = Widget(content["comm_id"], _whole(content["data"], buffers), self)
        elif kind == "comm_msg" and content["data"].get("method") == "update_states":
            self._take_states(content["data"], buffers)
        elif kind == "comm_msg" and content["comm_id"] in self.widgets:
            self.widgets[content["comm_id"]].take(content["data"], buffers)
        elif kind == "comm_close" and content["comm_id"] in self.widgets:
            self.widgets[content["comm_id"]].closed = True
        elif kind == "status" and cell is not None:
            cell.idle = content["execution_state"] == "idle"
        elif text := _text(kind, content):
            if cell is None:
                self.stray.append(text)
            else:
                cell.text += text
                cell.error = _plain(content["traceback"]) if kind == "error" else cell.error

    def _take_states(self, data: dict[str, Any], buffers: tuple[bytes, ...]) -> None:
        for path, buffer in zip(data["buffer_paths"], buffers, strict=True):
            _put(data["states"], path, buffer)
        for id, told in data["states"].items():
            self.widgets[id] = Widget(id, told["state"], self)


class OpenKernel(Protocol):
    """Starts a kernel with this release of ipykernel, until the end of the test, and opens a page on it.

    Comm messages go where JupyterLab would send them: to a subshell in a kernel that has subshells, unless `subshell` is False.
    """

    async def __call__(self, version: str, *, subshell: bool = True) -> KernelPage: ...


class OpenPage(Protocol):
    """Opens another page on the kernel of `page`, with the widgets that the kernel has: a reload, when `page` is closed before."""

    async def __call__(self, page: KernelPage, *, subshell: bool = True) -> KernelPage: ...


@asynccontextmanager
async def running_kernel(python: Path, home: Path, *, subshell: bool) -> AsyncIterator[KernelPage]:
    """A kernel of `python` that keeps its files in `home`, and a page on it, until the end of the block."""
    file, process = _kernel(python, home)
    page = KernelPage(file)
    try:
        await page.open(subshell=subshell)
        yield page
    finally:
        await page.close()
        process.kill()
        process.wait()


def _kernel(python: Path, home: Path) -> tuple[Path, subprocess.Popen[bytes]]:
    """The connection file and the process of a new kernel; what it prints by itself is in kernel.log."""
    home.mkdir(parents=True)
    file, _ = write_connection_file(str(home / "kernel.json"))
    foreign = ("JUPYTER", "IPYTHON", "PYTHONPATH", "ANYWIDGET")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    with (home / "kernel.log").open("wb") as log:
        process = subprocess.Popen(
            [python, "-m", "ipykernel_launcher", "-f", file],
            cwd=home,
            env={**environment, "IPYTHONDIR": str(home / "ipython"), "JPY_PARENT_PID": str(os.getpid())},  # it ends with this process
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    return Path(file), process


def _whole(data: Mapping[str, Any], buffers: tuple[bytes, ...]) -> dict[str, Any]:
    """The state in an open or update, with its buffers where they belong."""
    state: dict[str, Any] = data["state"]
    for path, buffer in zip(data.get("buffer_paths", ()), buffers, strict=True):
        _put(state, path, buffer)
    return state


def _put(state: Any, path: Sequence[Any], buffer: bytes) -> None:
    for name in path[:-1]:
        state = state[name]
    state[path[-1]] = buffer


def _text(kind: str, content: Mapping[str, Any]) -> str:
    if kind == "stream":
        return str(content["text"])
    if kind == "error":
        return f"{content['ename']}: {content['evalue']}"
    return str(content["data"].get("text/plain", "")) if kind in ("execute_result", "display_data") else ""


def _plain(traceback: Sequence[str]) -> str:
    """IPython's traceback without its colours."""
    return re.sub(r"\x1b\[[\d;]*m", "", "\n".join(traceback))
