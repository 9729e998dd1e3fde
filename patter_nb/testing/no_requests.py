"""A switch that keeps tests on this machine: what tries to leave it fails, whichever client tries."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from typing import Any
from unittest.mock import patch

from patter_nb.errors import PatterError


class RealRequestBlocked(PatterError):
    """A test tried to reach another machine. It is no `OSError`, so that a client does not take it for a bad connection and try again."""


@contextmanager
def block_real_requests() -> Iterator[list[str]]:
    """While it is on, a connection to anything but this machine's loopback raises `RealRequestBlocked`; so does looking up another name.

    It stands in Python's `socket` module, on which asyncio, aiohttp, httpx and the vendors' clients are built; native code that opens its
    own sockets is not seen. The list it gives holds what was kept from leaving, also where a client hid the error in one of its own. For
    all tests, put it into `conftest.py`:

        @pytest.fixture(autouse=True)
        def no_real_requests() -> Iterator[None]:
            with block_real_requests():
                yield

    >>> with block_real_requests() as blocked:
    ...     socket.create_connection(("192.0.2.1", 443))
    Traceback (most recent call last):
    ...
    patter_nb.testing.no_requests.RealRequestBlocked: A test tried to reach 192.0.2.1:443. Answer it from a WireServer or a ScriptedLLM.
    """
    blocked: list[str] = []

    def guarded(real: Callable[..., Any], where: Callable[..., str | None]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            place = where(*arguments, **named)
            if place is not None:
                blocked.append(place)
                if arguments and isinstance(arguments[0], socket.socket):
                    arguments[0].close()  # socket.create_connection does so for an OSError only
                raise RealRequestBlocked(f"A test tried to reach {place}.", hint="Answer it from a WireServer or a ScriptedLLM.")
            return real(*arguments, **named)

        return call

    with ExitStack() as switched:
        for name, where in (("connect", _connecting), ("connect_ex", _connecting), ("sendto", _sending)):
            switched.enter_context(patch.object(socket.socket, name, guarded(getattr(socket.socket, name), where)))
        for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
            switched.enter_context(patch.object(socket, name, guarded(getattr(socket, name), _looking_up)))
        yield blocked


def _connecting(own: socket.socket, address: Any) -> str | None:
    if own.family not in (socket.AF_INET, socket.AF_INET6) or _is_here(address[0]):
        return None
    return f"{address[0]}:{address[1]}"


def _sending(own: socket.socket, data: object, *rest: Any) -> str | None:
    return _connecting(own, rest[-1])


def _looking_up(host: str | bytes | None, *rest: Any, **named: Any) -> str | None:
    """A name that somebody else would be asked for; the address of an address is known."""
    name = host.decode("ascii") if isinstance(host, bytes) else host
    if not name or _is_here(name) or _is_address(name) or name == socket.gethostname():
        return None
    return name


def _is_here(host: str) -> bool:
    if host in ("localhost", "ip6-localhost") or host.endswith(".localhost"):
        return True
    if not _is_address(host):
        return False
    address = ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if address.version == 6 else None
    return (mapped or address).is_loopback


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
