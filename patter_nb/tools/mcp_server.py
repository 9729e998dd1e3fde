"""What is known of an MCP server before it is connected to: a plain description, a part of an agent."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from patter_nb.errors import PatterConfigError

__all__ = ["McpServer", "mcp_servers"]

_EXAMPLE = 'For example mcp_servers=["https://host/mcp", {"command": "uvx", "args": ["mcp-server-time"], "name": "time"}].'
_REMOTE = ("url", "headers", "allow_hosts", "name")
_LOCAL = ("command", "args", "env", "name")


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServer:
    """A server that lends its tools: at a `url` (streamable HTTP), or a `command` that is started and talked to by its pipes.

    `url`, `headers`, `args` and `env` may hold keys and are not shown. `allow_hosts` names hosts that may be connected to though they are
    not public.
    """

    name: str
    url: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    allow_hosts: tuple[str, ...] = ()
    command: str | None = None
    args: tuple[str, ...] = field(default=(), repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)


def mcp_servers(values: object) -> tuple[McpServer, ...]:
    """The servers that `mcp_servers=` names, each as text (a URL), a dict or a `McpServer`. Raises `PatterConfigError`.

    One without a name of its own is called after its host or command.

    >>> [server.name for server in mcp_servers(["https://example.com/mcp", {"command": "uvx", "args": ["mcp-server-time"]}])]
    ['example.com', 'uvx']
    """
    if isinstance(values, tuple) and all(isinstance(value, McpServer) for value in values):
        return values
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise PatterConfigError(f"mcp_servers is {type(values).__name__}, not a list.", hint=_EXAMPLE)
    made: list[McpServer] = []
    for value in values:
        server = _server(value, [other.name for other in made])
        if any(server.name == other.name for other in made):
            raise PatterConfigError(f"Two MCP servers are named {server.name!r}.", hint='Give one of them another: {"name": ..., ...}.')
        made.append(server)
    return tuple(made)


def _server(value: object, taken: list[str]) -> McpServer:
    if isinstance(value, McpServer):
        return value
    given: Any = {"url": value} if isinstance(value, str) else value
    if not isinstance(given, Mapping) or ("url" in given) == ("command" in given):
        raise PatterConfigError("An item of mcp_servers has not exactly one of url and command.", hint=_EXAMPLE)
    known = _REMOTE if "url" in given else _LOCAL
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"It takes {', '.join(known)}."
            raise PatterConfigError(f"An item of mcp_servers has an unknown key {key!r:.40}.", hint=hint)
    where = given.get("url", given.get("command"))
    if not isinstance(where, str) or not where.strip() or ("url" in given and not re.match(r"https?://[^/]", where, re.IGNORECASE)):
        raise PatterConfigError("The url or command of an MCP server is no text, or no http(s) URL.", hint=_EXAMPLE)
    name = given.get("name", _named(where, taken, is_url="url" in given))
    if not isinstance(name, str) or not name.strip():
        raise PatterConfigError(f"The name of an MCP server is {name!r:.40}.", hint="Use text, or leave it out.")
    texts = {key: _texts(name, key, given.get(key, ())) for key in ("args", "allow_hosts")}
    pairs = {key: _pairs(name, key, given.get(key) or {}) for key in ("headers", "env")}
    return McpServer(name=name, url=given.get("url"), command=given.get("command"), **texts, **pairs)  # type: ignore[arg-type]


def _named(where: str, taken: list[str], *, is_url: bool) -> str:
    """After the host or the program; numbered where that is taken. Nothing else of a URL or a command may be shown."""
    base = re.split(r"[/?#]", where)[2].rpartition("@")[2] if is_url else re.split(r"[/\\]", where)[-1]
    return next(name for name in (base, *(f"{base} {n}" for n in range(2, len(taken) + 3))) if name not in taken)


def _texts(name: str, key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise PatterConfigError(f"{key} of the MCP server {name!r} is no list of text.", hint=_EXAMPLE)
    return tuple(value)


def _pairs(name: str, key: str, value: object) -> Mapping[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(item, str) for pair in value.items() for item in pair):
        raise PatterConfigError(
            f"{key} of the MCP server {name!r} is no dict of text.", hint=f'For example {{"{key}": {{"NAME": "value"}}}}.'
        )
    return MappingProxyType(dict(value))
