"""An MCP server of the official package, for tests: run as a script it talks by its pipes, `lending_at_http` puts it on a port."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import TextContent

PIXEL = b"\x89PNG\r\n\x1a\n"


def server() -> MCPServer:  # noqa: C901  # one branch for each tool
    """A server of a few tools."""
    made = MCPServer("lender")

    @made.tool()
    def add(a: int, b: int = 1) -> str:
        """Add two numbers."""
        return str(a + b)

    @made.tool(structured_output=False)
    def two_lines() -> list[TextContent]:
        """Say two things."""
        return [TextContent(type="text", text="One."), TextContent(type="text", text="Two.")]

    @made.tool(structured_output=False)
    def picture() -> list[Any]:
        """Draw."""
        return ["Here it is:", Image(data=PIXEL, format="png")]

    @made.tool()
    def fail(why: str) -> str:
        """Fail."""
        raise ToolError(why)

    @made.tool(name="files.read/one")
    def odd_name() -> str:
        """Have a name that others would not take."""
        return "read"

    @made.tool()
    async def hang() -> str:
        """Never end."""
        await asyncio.Event().wait()
        return "never"

    @made.tool()
    def leave() -> str:
        """End the server."""
        os._exit(3)

    @made.tool()
    def environment(name: str) -> str:
        """Tell a variable."""
        return os.environ.get(name, "unset")

    @made.tool()
    def process() -> str:
        """Tell the process."""
        return str(os.getpid())

    @made.tool()
    def header(name: str, ctx: Context) -> str:
        """Tell a header of the request."""
        request = ctx.request_context.request
        return str(request.headers.get(name, "unset")) if request is not None else "no request"

    return made


@asynccontextmanager
async def lending_at_http(wrap: Callable[[Any], Any] = lambda app: app) -> AsyncIterator[int]:
    """The server at http://127.0.0.1:port/mcp; `wrap` may put something around its app."""
    import uvicorn

    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(wrap(server().streamable_http_app()), log_level="error", timeout_graceful_shutdown=1)
    running = uvicorn.Server(config)
    task = asyncio.create_task(running._serve([listening]))  # serve() itself would take over the signals
    try:
        while not running.started:  # noqa: ASYNC110  # it has no event for it
            await asyncio.sleep(0.01)
        yield listening.getsockname()[1]
    finally:
        running.should_exit = True
        await task
        listening.close()


if __name__ == "__main__":
    if "--silent" in sys.argv:
        if "PATTER_STARTED" in os.environ:
            Path(os.environ["PATTER_STARTED"]).write_text(str(os.getpid()))
        sys.stdin.read()
    elif "--broken" in sys.argv:
        sys.exit("no such thing")
    else:
        server().run("stdio")
