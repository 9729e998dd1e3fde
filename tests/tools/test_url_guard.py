"""Where a tool, a handler or a server may be: every spelling of what is not public is refused, after resolution and on each redirect."""

from __future__ import annotations

from collections.abc import Iterable

import httpx
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from local_web import saying, serving

from patter_nb.errors import PatterConfigError
from patter_nb.tools.guarded_http import ReplyTooLarge, guarded_client, post
from patter_nb.tools.url_guard import WEB, BlockedURL, UrlGuard

LOOPBACK = {
    "dotted": "http://127.0.0.1/",
    "another of the block": "http://127.255.0.1/",
    "decimal": "http://2130706433/",
    "octal": "http://0177.0.0.1/",
    "octal in one": "http://017700000001/",
    "hex": "http://0x7f000001/",
    "hex parts": "http://0x7f.0x0.0x0.0x1/",
    "hex in capitals": "http://0X7F.1/",
    "short of two": "http://127.1/",
    "short of three": "http://127.0.1/",
    "mixed": "http://0x7f.0.1/",
    "leading zeros": "http://0000177.0.0.01/",
    "IPv6": "http://[::1]/",
    "IPv6 in full": "http://[0:0:0:0:0:0:0:1]/",
    "IPv4-mapped": "http://[::ffff:127.0.0.1]/",
    "IPv4-mapped in hex": "http://[::ffff:7f00:1]/",
    "IPv4-compatible": "http://[::127.0.0.1]/",
    "NAT64": "http://[64:ff9b::127.0.0.1]/",
    "6to4": "http://[2002:7f00:1::]/",
    "trailing dot": "http://127.0.0.1./",
    "trailing dots on a name": "http://localhost../",
    "user name": "http://example.com@127.0.0.1/",
    "user name with a port": "http://example.com:80@127.0.0.1:80/",
    "backslash": "http://example.com\\@127.0.0.1/",
    "fullwidth digits": "http://１２７.０.０.１/",
    "circled digits": "http://①②⑦.⓪.⓪.①/",
    "ideographic dots": "http://127。0。0。1/",
    "localhost": "http://localhost/",
    "localhost in capitals": "http://LOCALHOST/",
    "below localhost": "http://anything.localhost/",
    "localhost in wide letters": "http://ｌｏｃａｌｈｏｓｔ/",
    "hosts file": "http://ip6-loopback/",
}
OTHERS = {
    "private 10": "http://10.1.2.3/",
    "private 172": "http://172.16.0.1/",
    "private 192": "http://192.168.1.1/",
    "private in decimal": "http://3232235777/",
    "carrier's": "http://100.64.0.1/",
    "link-local, where clouds tell secrets": "http://169.254.169.254/latest/meta-data/",
    "metadata in hex": "http://0xa9fea9fe/",
    "metadata by name": "http://metadata.google.internal/",
    "metadata in mapped IPv6": "http://[::ffff:169.254.169.254]/",
    "unspecified": "http://0.0.0.0/",
    "unspecified as 0": "http://0/",
    "unspecified IPv6": "http://[::]/",
    "multicast": "http://224.0.0.1/",
    "reserved": "http://240.0.0.1/",
    "broadcast": "http://255.255.255.255/",
    "unique local IPv6": "http://[fd00::1]/",
    "link-local IPv6": "http://[fe80::1]/",
    "link-local IPv6 of an interface": "http://[fe80::1%25eth0]/",
    "metadata in IPv6": "http://[fd00:ec2::254]/",
    "Teredo": "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "multicast IPv6": "http://[ff02::1]/",
    "too large to be an address": "http://4294967296/",
    "a number too large": "http://1.2.3.256/",
    "five numbers": "http://1.2.3.4.5/",
    "a name that ends in a number": "http://example.0x7f/",
    "another scheme": "file:///etc/passwd",
    "yet another": "gopher://example.com/",
    "no scheme": "example.com/hook",
    "no host": "http:///hook",
    "a host in percents": "http://%6c%6f%63%61%6c%68%6f%73%74/",
    "a space": "http://example.com /",
    "a line break": "http://example.com\r\nHost: x/",
    "a bad port": "http://example.com:99999/",
    "a web socket, where none is spoken": "ws://example.com/",
}
ALL = LOOPBACK | OTHERS


async def never(host: str, port: int) -> Iterable[str]:
    raise AssertionError(f"{host} was resolved")


@pytest.mark.parametrize("spelling", ALL)
async def test_row_33_every_spelling_of_what_is_not_public_is_refused(spelling: str) -> None:
    guard = UrlGuard(resolve=never)
    with pytest.raises(BlockedURL) as refused:
        guard.check(ALL[spelling])
    assert refused.value.hint
    assert isinstance(refused.value, PatterConfigError)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook?x=1",
        "http://93.184.216.34/",
        "https://[2606:2800:220:1:248:1893:25c8:1946]:8443/",
        "https://[64:ff9b::8.8.8.8]/",
        "https://[2002:808:808::1]/",
        "https://bücher.example/",
        "https://10.example.com/",
        "https://0x7f.example/",
        "https://EXAMPLE.com.:443/",
    ],
)
def test_what_is_public_passes(url: str) -> None:
    UrlGuard().check(url)


def test_a_web_socket_passes_where_it_is_spoken() -> None:
    assert UrlGuard().check("wss://example.com/", WEB).port == 443
    with pytest.raises(BlockedURL, match="loopback"):
        UrlGuard().check("ws://127.1/", WEB)


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
        ("127.0.0.1:8080", "http://0x7f.1:8080/"),
        ("127.0.0.1", "http://127.0.0.1:9/"),
        ("localhost", "http://localhost:9/"),
        ("LOCALHOST:9", "http://localhost.:9/"),
        ("[::1]:8080", "http://[::1]:8080/"),
        ("::1", "http://[::1]:8080/"),
        ("localhost:80", "http://localhost/"),
        ("metadata", "http://metadata/"),
    ],
)
async def test_a_host_that_is_named_is_allowed(allowed: str, url: str) -> None:
    assert UrlGuard([allowed]).check(url)


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8081/"),
        ("127.0.0.1:8080", "http://127.0.0.2:8080/"),
        ("localhost:8080", "http://localhost/"),
        ("localhost", "http://127.0.0.1/"),
        ("127.0.0.1", "http://localhost/"),
        ("10.0.0.1", "http://[::1]/"),
    ],
)
def test_another_host_or_port_is_not(allowed: str, url: str) -> None:
    with pytest.raises(BlockedURL):
        UrlGuard([allowed]).check(url)


@pytest.mark.parametrize("entry", ["http://localhost", "", "a b", 8080, "localhost:port", "user@host", None])
def test_what_is_no_host_cannot_be_allowed(entry: object) -> None:
    with pytest.raises(PatterConfigError, match="allow_hosts"):
        UrlGuard([entry])  # type: ignore[list-item]


def test_one_text_is_no_list_of_hosts() -> None:
    with pytest.raises(PatterConfigError, match="allow_hosts"):
        UrlGuard("localhost")


@given(st.text(max_size=40))
def test_any_text_is_a_target_or_refused(host: str) -> None:
    try:
        target = UrlGuard().check(f"http://{host}/")
    except BlockedURL:
        return
    assert target.host.isascii()
    assert target.address is None or target.address.is_global


@given(st.ip_addresses(v=4))
def test_every_spelling_of_an_address_is_judged_alike(address: object) -> None:
    number = int(address)  # type: ignore[call-overload]
    spellings = [str(address), str(number), hex(number), f"0{number:o}", f"[::ffff:{address}]"]

    def verdict(host: str) -> bool:
        try:
            UrlGuard().check(f"http://{host}/")
        except BlockedURL:
            return False
        return True

    assert len({verdict(spelling) for spelling in spellings}) == 1


# --- after resolution


async def test_every_address_of_a_name_is_checked() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["93.184.216.34", "10.0.0.1"]

    with pytest.raises(BlockedURL, match=r"it leads to 10\.0\.0\.1, and 10\.0\.0\.1 is a private address"):
        await UrlGuard(resolve=resolve).addresses("example.com", 443)


async def test_a_name_with_public_addresses_gives_those() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["93.184.216.34", "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"]

    assert await UrlGuard(resolve=resolve).addresses("example.com", 443) == ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"]


async def test_the_machines_own_resolver_finds_localhost() -> None:
    assert "127.0.0.1" in await UrlGuard(["localhost"]).addresses("localhost", 80)


async def test_a_name_that_leads_here_is_refused_before_anything_is_sent() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async with serving(saying("secret")) as server:
        async with guarded_client(UrlGuard(resolve=resolve)) as client:
            with pytest.raises(BlockedURL, match="loopback"):
                await post(client, f"http://innocent.example:{server.port}/", b"{}", limit=100, headers={})
    assert server.asked == []


async def test_a_name_that_changes_its_mind_is_connected_to_where_it_was_checked() -> None:
    """DNS rebinding: the second look at a name would lead elsewhere, so there is none."""
    looks: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        looks.append(host)
        return ["127.0.0.1"] if len(looks) == 1 else ["10.0.0.1"]

    async with serving(saying("fine")) as server:
        async with guarded_client(UrlGuard([server.host], resolve=resolve)) as client:
            url = f"http://innocent.example:{server.port}/"
            assert (await post(client, url, b"{}", limit=100, headers={})).body == b'"fine"'
            assert server.asked[0].headers["host"] == f"innocent.example:{server.port}"
            with pytest.raises(BlockedURL, match="private"):
                await post(client, url, b"{}", limit=100, headers={})
    assert looks == ["innocent.example"] * 2
    assert len(server.asked) == 1


async def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    async with serving(saying(1)) as server:
        allowed = [server.host, f"127.0.0.2:{server.port}"]
        async with guarded_client(UrlGuard(allowed, resolve=resolve)) as client:
            reply = await post(client, f"http://two.example:{server.port}/", b"{}", limit=100, headers={})
    assert reply.body == b"1"


async def test_a_name_without_an_address_is_a_failed_connection() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise OSError("nothing known")

    async with guarded_client(UrlGuard(resolve=resolve)) as client:
        with pytest.raises(httpx.ConnectError, match=r"nowhere\.example has no address"):
            await post(client, "http://nowhere.example/", b"{}", limit=100, headers={})


# --- redirects


def leading(to: str, status: int = 307) -> web.StreamResponse:
    return web.Response(status=status, headers={"Location": to})


@pytest.mark.parametrize("to", ["http://169.254.169.254/", "http://localhost/", "http://2130706433/", "file:///etc/passwd", "//[::1]/"])
async def test_a_redirect_to_what_is_not_public_is_refused(to: str) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return leading(to)

    async with serving(answer) as server:
        async with guarded_client(UrlGuard([server.host], resolve=never)) as client:
            with pytest.raises((BlockedURL, httpx.UnsupportedProtocol)):
                await post(client, f"{server.url}/", b"{}", limit=100, headers={})
    assert len(server.asked) == 1


@pytest.mark.parametrize(("status", "method"), [(307, "POST"), (308, "POST"), (303, "GET"), (302, "GET"), (301, "GET")])
async def test_a_redirect_is_followed_by_httpx_rules_of_methods(status: int, method: str) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return leading("/there", status) if request.path == "/" else web.json_response("there")

    async with serving(answer) as server:
        async with guarded_client(UrlGuard([server.host])) as client:
            reply = await post(client, f"{server.url}/", b'{"a": 1}', limit=100, headers={"X-Key": "k"})
    assert reply.body == b'"there"'
    assert (server.asked[1].method, server.asked[1].body) == (method, b'{"a": 1}' if method == "POST" else b"")
    assert server.asked[1].headers["x-key"] == "k"


async def test_a_key_does_not_go_to_another_origin() -> None:
    async with serving(saying("other")) as other:

        async def answer(request: web.Request) -> web.StreamResponse:
            return leading(f"{other.url}/")

        async with serving(answer) as server:
            async with guarded_client(UrlGuard([server.host, other.host])) as client:
                await post(client, f"{server.url}/", b"{}", limit=100, headers={"X-Key": "k", "Authorization": "Bearer k"})
    assert other.asked[0].body == b"{}"
    assert "x-key" not in other.asked[0].headers and "authorization" not in other.asked[0].headers


@pytest.mark.parametrize(("hops", "arrives"), [(5, True), (6, False)])
async def test_five_redirects_are_followed(hops: int, arrives: bool) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        n = int(request.path[1:])
        return leading(f"/{n + 1}") if n < hops else web.json_response("end")

    async with serving(answer) as server:
        async with guarded_client(UrlGuard([server.host])) as client:
            if arrives:
                assert (await post(client, f"{server.url}/0", b"{}", limit=100, headers={})).body == b'"end"'
            else:
                with pytest.raises(httpx.TooManyRedirects):
                    await post(client, f"{server.url}/0", b"{}", limit=100, headers={})
    assert len(server.asked) == 6


async def test_the_environments_proxy_is_not_asked_to_connect_for_us(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(saying("the proxy")) as proxy, serving(saying("itself")) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with guarded_client(UrlGuard([server.host])) as client:
            assert (await post(client, f"{server.url}/", b"{}", limit=100, headers={})).body == b'"itself"'
    assert proxy.asked == []


async def test_a_compressed_body_is_refused() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"\x1f\x8b...", headers={"Content-Encoding": "gzip"})

    async with serving(answer) as server:
        async with guarded_client(UrlGuard([server.host])) as client:
            with pytest.raises(httpx.DecodingError, match="compressed"):
                await post(client, f"{server.url}/", b"{}", limit=100, headers={})
    assert server.asked[0].headers["accept-encoding"] == "identity"


async def test_a_body_of_the_limit_is_read_and_one_byte_more_is_not() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * int(request.path[1:]))

    async with serving(answer) as server:
        async with guarded_client(UrlGuard([server.host])) as client:
            assert len((await post(client, f"{server.url}/100", b"{}", limit=100, headers={})).body) == 100
            with pytest.raises(ReplyTooLarge, match="101 bytes were announced"):
                await post(client, f"{server.url}/101", b"{}", limit=100, headers={})
