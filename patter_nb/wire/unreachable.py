"""Why a vendor could not be reached, in words that hold no key.

aiohttp's own words for a proxy that refuses, and for an address that is none, quote all of it: a proxy's password, a key in a query.
"""

from __future__ import annotations

import aiohttp

__all__ = ["cause_of"]


def cause_of(error: Exception) -> tuple[str, Exception | None]:
    """What is told of it, and itself, where its traceback may be shown too.

    >>> cause_of(aiohttp.InvalidURL("http://me:secret@proxy:99999"))
    ('that, or the proxy of the environment, is no address', None)
    >>> cause_of(ConnectionResetError())[0]
    'ConnectionResetError'
    """
    match error:
        case aiohttp.ClientHttpProxyError():
            return f"the proxy refused, HTTP {error.status} {error.message}".rstrip(), None
        case aiohttp.ClientResponseError():
            return f"HTTP {error.status} {error.message}".rstrip(), None
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return "that, or the proxy of the environment, is no address", None
        case aiohttp.ClientConnectorError():
            return str(error.os_error) or type(error.os_error).__name__, error
        case _:
            return str(error) or type(error).__name__, error
