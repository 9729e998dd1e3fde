"""Decides which addresses a tool, a message handler or an MCP server may be reached at, so that none leads into the network this runs in.

A URL is judged by the address that is connected to, not by how it is written: `check` reads the spelling, `addresses` resolves the
name and checks every address it has, and whoever connects takes one of those and never resolves again. The clients in
`guarded_http` do that, for the first request and for each redirect.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from patter_nb.errors import PatterConfigError

Address: TypeAlias = IPv4Address | IPv6Address
Resolve: TypeAlias = Callable[[str, int], Awaitable[Iterable[str]]]
"""The addresses, as text, of a name that is to be connected to at a port. Raises `OSError` when it has none."""

HTTP: Final = ("http", "https")
WEB: Final = ("http", "https", "ws", "wss")
PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}

LOCAL_NAMES: Final = frozenset(("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"))
METADATA_NAMES: Final = frozenset(
    ("metadata", "metadata.google.internal", "metadata.azure.com", "metadata.azure.internal", "instance-data", "instance-data.ec2.internal")
)
_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_NO_HINT = "Use a public address. A server of your own that is not one is named in allow_hosts."


class BlockedURL(PatterConfigError):
    """A URL that must not be connected to; the message says which and why, the hint what to do about it."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads: `host` in one spelling (a name in lower case without a trailing dot, or an address), and the port."""

    host: str
    port: int
    address: Address | None = None


class UrlGuard:
    """Refuses what is not on the public internet, but for `allow_hosts`: "host" for all of its ports, or "host:port" for one.

    `resolve` finds the addresses of a name; the machine's own resolver, if left out. Raises `PatterConfigError` for an entry that
    is no host.

    >>> guard = UrlGuard(["127.0.0.1:8080"])
    >>> guard.check("http://0x7f.1:8080/book").host
    '127.0.0.1'
    >>> guard.check("http://0x7f.1/book")
    Traceback (most recent call last):
    patter_nb.tools.url_guard.BlockedURL: http://0x7f.1 is refused: 127.0.0.1 is a loopback address. Use a public address. A server of your own that is not one is named in allow_hosts.
    """  # noqa: E501  # a message is one line

    def __init__(self, allow_hosts: Iterable[str] = (), *, resolve: Resolve | None = None) -> None:
        if isinstance(allow_hosts, str) or not isinstance(allow_hosts, Iterable):
            raise PatterConfigError(f"allow_hosts is {allow_hosts!r:.80}, no list.", hint='For example allow_hosts=["127.0.0.1:8080"].')
        self._allowed = frozenset(map(_entry, allow_hosts))
        self._resolve = _system_resolve if resolve is None else resolve

    def check(self, url: str, schemes: Sequence[str] = HTTP) -> Target:
        """Where `url` leads, as far as its spelling tells. Raises `BlockedURL`; a name may still turn out to be blocked by `addresses`."""
        if not isinstance(url, str) or re.search(r"[\s\\\x00-\x1f\x7f]", url):
            raise BlockedURL(f"{url!r:.80} is no URL.", hint=f"Write {schemes[-1]}://host/path, without spaces or backslashes.")
        try:
            parts = urlsplit(url)
            scheme, written, port = parts.scheme.lower(), parts.hostname or "", parts.port
        except ValueError as error:
            raise BlockedURL(f"{_shown(url)} is no URL: {error}.", hint=f"Write {schemes[-1]}://host/path.") from error
        if scheme not in schemes:
            raise BlockedURL(f"{_shown(url)} is refused: its scheme is {scheme or 'missing'}.", hint=f"Use {' or '.join(schemes)}.")
        if "@" in parts.netloc:
            hint = "Send credentials in a header: authenticate() of a tool executor, or headers= of an MCP server."
            raise BlockedURL(f"{_shown(url)} is refused: it has a user name before the host.", hint=hint)
        return self.target(written, PORTS[scheme] if port is None else port, f"{scheme}://{written}")

    def target(self, host: str, port: int, shown: str | None = None) -> Target:
        """The host in one spelling. Raises `BlockedURL` for one that is refused by its name, or that is an address and refused."""
        shown = host if shown is None else shown
        name = _normal(host)
        address = _as_address(name)
        if address is not None:
            if (reason := self._objection(address, port)) is not None:
                raise BlockedURL(f"{shown} is refused: {reason}.", hint=_NO_HINT)
            return Target(str(address), port, address)
        if not _is_name(name):
            raise BlockedURL(f"{shown} has no host that can be connected to.", hint="Write https://host/path.")
        of_this_machine = name in METADATA_NAMES or name in LOCAL_NAMES or name.endswith(".localhost")
        if of_this_machine and not self._names(name, port):
            raise BlockedURL(f"{shown} is refused: {name} is a name of this machine or its cloud.", hint=_NO_HINT)
        return Target(name, port)

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses to connect to, each checked, in the resolver's order. Raises `BlockedURL` if any is refused, `OSError` for none."""
        target = self.target(host, port)
        if target.address is not None:
            return [str(target.address)]
        found = [*dict.fromkeys(await self._resolve(target.host, port))]
        if not found:
            raise OSError(f"{target.host} has no address")
        if not self._names(target.host, port):
            for text in found:
                address = _as_address(text)
                reason = f"{text} is no address" if address is None else self._objection(address, port)
                if reason is not None:
                    raise BlockedURL(f"{target.host} is refused: it leads to {text}, and {reason}.", hint=_NO_HINT)
        return found

    def _names(self, host: str, port: int) -> bool:
        return (host, None) in self._allowed or (host, port) in self._allowed

    def _objection(self, address: Address, port: int) -> str | None:
        """Why `address` is refused; None where it is public or allowed."""
        reason = _objection(address)
        return None if reason is None or self._names(str(address), port) else reason


async def _system_resolve(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


def _entry(text: object) -> tuple[str, int | None]:
    """An item of allow_hosts as (host in one spelling, port or None)."""
    match = _ENTRY.fullmatch(text) if isinstance(text, str) else None
    name = "" if match is None else _normal(match[1] or match[2] or match[3])
    address = _as_address(name)
    if match is None or (address is None and not _is_name(name)):
        raise PatterConfigError(
            f"{text!r:.80} in allow_hosts is no host.", hint='Write a host, or host:port: "127.0.0.1:8080", "localhost", "[::1]:8080".'
        )
    return name if address is None else str(address), int(match[4]) if match[4] else None


_ENTRY: Final = re.compile(r"(?:\[([^\]]+)\]|([^:/@\s]+)|([0-9a-fA-F]*:[0-9a-fA-F:.]+))(?::(\d{1,5}))?")


_NAME: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")


def _is_name(host: str) -> bool:
    """Whether it may be asked of a resolver. What ends in a number and is no address is no name either (as in the WHATWG's URL)."""
    return _NAME.fullmatch(host) is not None and _NUMBER.fullmatch(host.rpartition(".")[2]) is None


def _normal(host: str) -> str:
    """The host in lower case and ASCII, as a resolver sees it, without brackets and trailing dots; "" if IDNA knows no form of it.

    IDNA maps other digits and full stops to ours: "①②⑦。０.0.1" is 127.0.0.1 (RFC 3490, section 3.1, and RFC 3491).
    """
    try:
        ascii_host = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        return ""
    return ascii_host.lower().strip("[]").rstrip(".")


def _as_address(host: str) -> Address | None:
    """The address that `host` is, in any spelling that a resolver takes for one; None if it is a name.

    Numbers may be decimal, octal (0177) or hexadecimal (0x7f), one to four of them, of which the last fills what is left:
    https://url.spec.whatwg.org/#concept-ipv4-parser, and inet_aton(3).
    """
    if ":" in host:
        try:
            return ip_address(host.replace("%25", "%"))
        except ValueError:
            return None
    parts = host.split(".")
    if len(parts) > 4 or not all(map(_NUMBER.fullmatch, parts)):
        return None
    numbers = [_number(part) for part in parts]
    *high, low = numbers
    if None in numbers or any(number > 255 for number in high if number is not None) or low is None or low >= 256 ** (5 - len(parts)):
        return None
    value = low
    for place, number in enumerate(high):
        value += (number or 0) << (8 * (3 - place))
    return IPv4Address(value)


_NUMBER = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")


def _number(text: str) -> int | None:
    try:
        if text.lower().startswith("0x"):
            return int(text[2:] or "0", 16)
        return int(text, 8 if len(text) > 1 and text.startswith("0") else 10)
    except ValueError:
        return None


def _objection(address: Address) -> str | None:
    if isinstance(address, IPv6Address):
        if (inner := _embedded(address)) is not None and (reason := _objection(inner)) is not None:
            return f"{address} stands for {inner}, and {reason}"
        if address.ipv4_mapped is not None or address in _NAT64:
            return None
        if address.teredo is not None or address.is_site_local:
            return f"{address} is a tunnel's or a site's address"
    for kind, found in (
        ("an unspecified", address.is_unspecified),
        ("a loopback", address.is_loopback),
        ("a link-local", address.is_link_local),
        ("a multicast", address.is_multicast),
        ("a reserved", address.is_reserved),
        ("a private", address.is_private or not address.is_global),
    ):
        if found:
            return f"{address} is {kind} address"
    return None


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to: mapped, compatible, NAT64 or 6to4."""
    value = int(address)
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64 or (value >> 32 == 0 and value > 1):
        return IPv4Address(value & 0xFFFFFFFF)
    return address.sixtofour if address in _SIX_TO_FOUR else None


def _shown(url: str) -> str:
    """The URL without what may be secret: user name, path, query."""
    head, _, rest = url.partition("://")
    return f"{head}://{re.split(r'[/?#]', rest)[0].rpartition('@')[2]}"[:120] if rest else f"{url[:80]!r}"
