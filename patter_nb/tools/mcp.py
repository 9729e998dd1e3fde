"""The tools of MCP servers, by the official `mcp` package: one connection a server, for as long as the session wants it.

A server's connection lives in a task of its own, for the package opens and closes it in one and the same; calls come from any.
https://modelcontextprotocol.io/specification
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from os import devnull
from typing import TYPE_CHECKING, Any, Final

from patter_nb.errors import ConnectionFailed, MissingExtra, PatterConfigError, PatterError, ToolError
from patter_nb.tools.mcp_server import McpServer
from patter_nb.tools.signature import ToolContext
from patter_nb.tools.tool import Tool
from patter_nb.tools.url_guard import UrlGuard

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult
    from mcp.types import Tool as Listed

START_S: Final = 30.0
"""How long a server may take to start and to list its tools: one that `uvx` or `npx` fetches first takes its time."""
CLOSE_S: Final = 10.0
MAX_PAGES: Final = 100
QUIET_S: Final = 300.0
"""How long an open stream of events may say nothing."""

SHORTEST_SECRET: Final = 6

_REMEDY = "Check its URL and headers, or its command and what it writes to stderr."
_log = logging.getLogger(__name__)


class McpTools:
    """The servers that are connected, and their tools."""

    def __init__(self) -> None:
        self._connections: list[_Connection] = []

    async def connect(self, servers: Sequence[McpServer]) -> list[PatterError]:
        """Be connected to these servers and to no other. Gives an error for each that failed, whose tools are not there.

        Those that are connected stay so, but for one that was lost. Raises `MissingExtra` without the `mcp` package.
        """
        await self._close(lambda one: one.server not in servers or one.is_lost)
        new = [_Connection(server) for server in servers if server not in [one.server for one in self._connections]]
        if new:
            _require_package()
        self._connections += new
        try:
            outcomes = await asyncio.gather(*(one.open() for one in new), return_exceptions=True)
        except BaseException:
            await self._close(lambda one: one in new)
            raise
        failures = {id(one): error for one, error in zip(new, outcomes, strict=True) if error is not None}
        await self._close(lambda one: id(one) in failures)
        return [_failed(one.server, error, one.status) for one in new if (error := failures.get(id(one)))]

    def equipped(self, tools: Iterable[Tool], servers: Sequence[McpServer]) -> tuple[Tool, ...]:
        """`tools`, and those of `servers` in place of whatever came from one. Raises `PatterConfigError` where two have one name."""
        own = [tool for tool in tools if not isinstance(tool.handler, McpCall)]
        owners = {tool.name: "the agent's own tools" for tool in own}
        lent: list[Tool] = []
        for one in self._connections:
            for tool in one.tools if one.server in servers else ():
                if tool.name in owners:
                    raise _clash(tool.name, owners[tool.name], one.server)
                owners[tool.name] = f"the MCP server {one.server.name!r}"
                lent.append(tool)
        return (*own, *lent)

    async def drop_clashing(self, tools: Iterable[Tool], servers: Sequence[McpServer]) -> list[PatterError]:
        """Close each server a tool of which has the name of another, so that `equipped` raises no more; gives the errors."""
        errors: list[PatterError] = []
        for _ in range(len(self._connections)):
            try:
                self.equipped(tools, servers)
            except _Clash as error:
                errors.append(error)
                dropped = error.server
                await self._close(lambda one: one.server == dropped)  # noqa: B023  # called before the next round
        return errors

    async def aclose(self) -> None:
        """Close every connection."""
        await self._close(lambda one: True)

    async def _close(self, which: Callable[[_Connection], bool]) -> None:
        closing = [one for one in self._connections if which(one)]
        self._connections = [one for one in self._connections if one not in closing]
        await asyncio.gather(*(one.aclose() for one in closing))


class _Clash(PatterConfigError):
    """Two tools have one name; `server` lends the second."""

    def __init__(self, message: str, *, hint: str, server: McpServer) -> None:
        super().__init__(message, hint=hint)
        self.server = server


def _clash(name: str, owner: str, server: McpServer) -> _Clash:
    told = f"Two tools are named {name!r}: one of {owner}, and one of the MCP server {server.name!r}."
    return _Clash(told, hint="Rename your own: @tool(name=...), or leave one of them out.", server=server)


@dataclass(frozen=True, slots=True)
class McpCall:
    """The handler of a tool that a server lends: `name` is its name there."""

    connection: _Connection
    name: str

    async def __call__(self, arguments: dict[str, Any], call_context: ToolContext) -> str:
        return await self.connection.call(self.name, arguments)


class _Connection:
    """One server, from `open` to `aclose`."""

    def __init__(self, server: McpServer) -> None:
        self.server = server
        self.tools: tuple[Tool, ...] = ()
        self.status: int | None = None
        """The last HTTP status that was an error."""
        self._client: Client | None = None
        self._over = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._lost = False

    @property
    def is_lost(self) -> bool:
        """Whether it had been open and is no more."""
        return self._lost or (self._keeping is not None and self._keeping.done())

    async def open(self) -> None:
        """Connect and list the tools. Raises whatever keeps it from that, `TimeoutError` after 30 s."""
        ready: asyncio.Future[tuple[Tool, ...]] = asyncio.get_running_loop().create_future()
        self._keeping = asyncio.create_task(self._keep(ready), name=f"MCP server {self.server.name}")
        await asyncio.wait([ready], timeout=START_S)
        if not ready.done():
            ready.cancel()
            raise TimeoutError(f"it did not start within {START_S:.0f} s")
        if ready.cancelled():
            raise ConnectionFailed("its connection was given up")
        self.tools = ready.result()

    async def _keep(self, ready: asyncio.Future[tuple[Tool, ...]]) -> None:
        try:
            async with _client(self.server, self._note) as client:
                listed = await _list(client)
                self._client = client
                if not ready.done():
                    ready.set_result(self._lent(listed))
                await self._over.wait()
        except Exception as error:  # noqa: BLE001  # the package's or the server's: whoever waits is told, else the log
            if ready.done():
                _log.warning("The MCP server %s was closed with an error.", self.server.name, exc_info=error)
            else:
                ready.set_exception(_leaf(error))
                ready.exception()  # whoever waited may be gone; then nobody has to see it
        finally:
            self._client = None
            ready.cancel()

    async def _note(self, response: Any) -> None:
        if response.is_error:
            self.status = response.status_code

    def _lent(self, listed: Iterable[Listed]) -> tuple[Tool, ...]:
        """The server's tools as ours; one that cannot be described is left out, and the log says so."""
        tools: dict[str, Tool] = {}
        for item in listed:
            name = re.sub(r"[^a-zA-Z0-9_-]", "_", item.name)[:64]
            description = item.description or item.title or f"{item.name}, a tool of {self.server.name}."
            if name in tools:
                raise _clash(name, f"the MCP server {self.server.name!r}", self.server)
            try:
                tools[name] = Tool(name, description, dict(item.input_schema), McpCall(self, item.name))
            except PatterConfigError as error:
                _log.warning("The tool %s of the MCP server %s is left out: %s", item.name, self.server.name, error)
        return tuple(tools.values())

    async def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """The text of a call's result. Raises `ToolError` for a result that is an error, and for a server that is gone."""
        from mcp import MCPError
        from mcp.types import CONNECTION_CLOSED

        if self._client is None or self.is_lost:
            raise self._gone(None)
        try:
            result = await self._client.call_tool(name, dict(arguments))
        except MCPError as error:
            if error.code == CONNECTION_CLOSED:
                self._lost = True
                raise self._gone(error) from error
            raise ToolError(f"The MCP server {self.server.name} refused {name}: {error}", hint="Answer without it.") from error
        text = _text(result)
        if result.is_error:
            raise ToolError(text or f"{name} failed, and its server does not say why.")
        return text

    def _gone(self, error: Exception | None) -> ToolError:
        why = f" ({error})" if error is not None else ""
        hint = "Answer without it. Its owner can connect again: session.use(mcp_servers=[...])."
        return ToolError(f"The MCP server {self.server.name} is gone{why}.", hint=hint)

    async def aclose(self) -> None:
        """Close it, and wait until it is closed; what does not end within 10 s is cancelled."""
        if self._keeping is None:
            return
        self._over.set()
        if self._client is None:
            self._keeping.cancel()
        await asyncio.wait([self._keeping], timeout=CLOSE_S)
        self._keeping.cancel()
        await asyncio.wait([self._keeping])


@asynccontextmanager
async def _client(server: McpServer, note: Callable[[Any], Awaitable[None]]) -> AsyncIterator[Client]:
    """`note` is told each HTTP response."""
    from mcp import Client
    from mcp.types import Implementation

    from patter_nb import __version__

    async with _transport(server, note) as transport:
        client_info = Implementation(name="patter_nb", version=__version__)
        async with Client(transport, client_info=client_info, cache=None) as client:
            yield client


@asynccontextmanager
async def _transport(server: McpServer, note: Callable[[Any], Awaitable[None]]) -> AsyncIterator[Any]:
    if server.url is not None:
        import httpx2
        from mcp.client.streamable_http import streamable_http_client

        from patter_nb.tools.guarded_http import guarded_client

        guard = UrlGuard(server.allow_hosts)
        guard.check(server.url)
        timeout = httpx2.Timeout(START_S, read=QUIET_S)
        async with guarded_client(guard, httpx2, headers=server.headers, timeout=timeout) as http:
            http.event_hooks["response"].append(note)
            yield streamable_http_client(server.url, http_client=http)
        return
    from mcp import StdioServerParameters, stdio_client

    assert server.command is not None
    parameters = StdioServerParameters(command=server.command, args=list(server.args), env=dict(server.env))
    with open(devnull, "w") if sys.__stderr__ is None else nullcontext(sys.__stderr__) as errors:  # noqa: ASYNC230  # the null device
        yield stdio_client(parameters, errlog=errors)  # a notebook's own sys.stderr is no file that a process could write to


async def _list(client: Client) -> list[Listed]:
    listed: list[Listed] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        listed += page.tools
        cursor = page.next_cursor
        if cursor is None:
            break
    return listed


def _text(result: CallToolResult) -> str:
    """Text blocks as they are, other blocks as JSON, one a line; the structured content where there is no block."""
    if not result.content and result.structured_content is not None:
        return json.dumps(result.structured_content, ensure_ascii=False)
    return "\n".join(
        block.text
        if block.type == "text"
        else json.dumps(block.model_dump(mode="json", by_alias=True, exclude_none=True), ensure_ascii=False)
        for block in result.content
    )


def _leaf(error: BaseException) -> BaseException:
    """The first cause: the package's tasks raise groups of one."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _failed(server: McpServer, error: BaseException, status: int | None) -> PatterError:
    """Why a server is not connected: the first line of what its package says, without a key."""
    if isinstance(error, PatterError):
        told, hint = error.message, error.hint
    else:
        told, hint = f"{type(error).__name__}: {error}".split("\n")[0].rstrip(": ")[:300], None
    for secret in (server.url or "", *server.headers.values(), *server.env.values()):
        told = told.replace(secret, "...") if len(secret) >= SHORTEST_SECRET else told
    answered = f" (it answered with status {status})" if status is not None else ""
    failure = ConnectionFailed(
        f"The MCP server {server.name} could not be connected to: {told}{answered}.",
        status=status,
        hint=f"{hint or _REMEDY} The agent goes on without its tools; session.use(mcp_servers=[...]) tries again.",
    )
    failure.__cause__ = error
    return failure


def _require_package() -> None:
    for package in ("mcp", "httpx2"):
        if find_spec(package) is None:
            raise MissingExtra("mcp", package, "mcp_servers=")
