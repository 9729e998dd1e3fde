"""While real requests are blocked, no client leaves this machine, and each says why."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import aiohttp
import httpx
import pytest

from patter_nb.errors import PatterError
from patter_nb.testing import RealRequestBlocked, WireServer, block_real_requests


def connect(address: tuple[str, int], family: socket.AddressFamily = socket.AF_INET) -> None:
    with socket.socket(family) as own:
        own.connect(address)


OUTWARD: dict[str, Callable[[], Any]] = {
    "an address": lambda: connect(("192.0.2.1", 443)),
    "an address of IPv6": lambda: connect(("2001:db8::1", 443), socket.AF_INET6),
    "an IPv4 address in IPv6's clothes": lambda: connect(("::ffff:192.0.2.1", 443), socket.AF_INET6),
    "all addresses": lambda: connect(("0.0.0.0", 9)),
    "a name": lambda: socket.getaddrinfo("api.openai.com", 443),
    "a name, the old way": lambda: socket.gethostbyname("api.openai.com"),
    "a name in bytes": lambda: socket.getaddrinfo(b"api.openai.com", 443),
    "a name that only looks local": lambda: socket.getaddrinfo("localhost.example.com", 443),
    "with a number for an error": lambda: socket.socket().connect_ex(("192.0.2.1", 443)),
    "a datagram": lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"?", ("192.0.2.1", 53)),
    "create_connection": lambda: socket.create_connection(("192.0.2.1", 443)),
    "httpx": lambda: httpx.get("http://192.0.2.1/", trust_env=False),
}


@pytest.mark.parametrize("way", OUTWARD)
def test_what_leaves_the_machine_is_an_error_that_says_where_to(way: str) -> None:
    with block_real_requests() as blocked, pytest.raises(RealRequestBlocked, match=r"A test tried to reach \S+\. Answer it from") as caught:
        OUTWARD[way]()
    assert blocked == [caught.value.message.removeprefix("A test tried to reach ").removesuffix(".")]
    assert isinstance(caught.value, PatterError)
    assert not isinstance(caught.value, OSError)


@pytest.mark.parametrize("url", ["http://192.0.2.1/", "http://api.openai.com/"])
async def test_clients_of_asyncio_are_blocked(url: str) -> None:
    with block_real_requests() as blocked:
        with pytest.raises(RealRequestBlocked):
            async with aiohttp.ClientSession() as session:
                await session.get(url)
        with pytest.raises((RealRequestBlocked, ExceptionGroup)) as caught:  # anyio connects in a group of tasks
            async with httpx.AsyncClient(trust_env=False) as client:
                await client.get(url)
        assert isinstance(caught.value, RealRequestBlocked) or caught.value.subgroup(RealRequestBlocked)
    assert len(blocked) == 2


async def test_this_machine_is_reached() -> None:
    with block_real_requests() as blocked:
        async with WireServer() as server, aiohttp.ClientSession(headers={"authorization": "Bearer test-key"}) as session:
            for url in (server.openai_url, server.openai_url.replace("127.0.0.1", "localhost")):
                async with session.get(f"{url}/models") as response:
                    assert response.status == 200
        reader, writer = socket.socketpair()
        with reader, writer:
            writer.send(b"!")
        assert socket.getaddrinfo("127.0.0.1", 80)
        assert socket.getaddrinfo(None, 80)
    assert blocked == []


def test_this_machine_in_ipv6s_clothes_is_this_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, block_real_requests() as blocked:
        connect(("::ffff:127.0.0.1", server.getsockname()[1]), socket.AF_INET6)
    assert blocked == []


async def test_a_datagram_to_this_machine_is_sent() -> None:
    with block_real_requests(), socket.socket(type=socket.SOCK_DGRAM) as here, socket.socket(type=socket.SOCK_DGRAM) as there:
        here.bind(("127.0.0.1", 0))
        assert there.sendto(b"!", here.getsockname()) == 1
        assert there.sendto(b"!", 0, here.getsockname()) == 1


def test_a_block_within_a_block_ends_alone() -> None:
    before = socket.socket.connect
    with block_real_requests() as outer:
        with block_real_requests() as inner, pytest.raises(RealRequestBlocked):
            connect(("192.0.2.1", 443))
        with pytest.raises(RealRequestBlocked):
            connect(("192.0.2.2", 443))
    assert (inner, outer) == (["192.0.2.1:443"], ["192.0.2.2:443"])
    assert socket.socket.connect is before


def test_it_is_told_when_a_client_hides_the_error() -> None:
    with block_real_requests() as blocked, pytest.raises(ConnectionError):
        try:
            socket.getaddrinfo("api.openai.com", 443)
        except RealRequestBlocked as error:
            raise ConnectionError("no connection") from error
    assert blocked == ["api.openai.com"]


def test_the_vendors_clients_are_blocked() -> None:
    openai = pytest.importorskip("openai")
    with block_real_requests() as blocked, openai.OpenAI(api_key="test-key") as client, pytest.raises(Exception) as caught:
        client.models.list()
    assert isinstance(caught.value, RealRequestBlocked) or isinstance(caught.value.__cause__, RealRequestBlocked)
    assert set(blocked) == {"api.openai.com"}


def test_it_ends_with_an_exception_too() -> None:
    before = socket.getaddrinfo
    with pytest.raises(ZeroDivisionError), block_real_requests():
        1 / 0  # noqa: B018
    assert socket.getaddrinfo is before


async def test_a_loop_looks_no_name_up() -> None:
    with block_real_requests(), pytest.raises(RealRequestBlocked):
        await asyncio.get_running_loop().getaddrinfo("api.anthropic.com", 443)
