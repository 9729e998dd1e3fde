"""What of a request may be kept and shown: everything but keys, which are taken out before anything is kept.

Names that are known to be harmless are told with their value, any other header or part of a query by its name alone: a gateway's own
header may hold a secret under any name. What is hidden so is looked for, and hidden, in bodies and answers too, for a server may repeat it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from traceback import format_exception
from typing import Final
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from patter_nb.errors import PatterError
from patter_nb.wire.refusals import REDACTED, SHORTEST_KEY

__all__ = ["REDACTED", "Redaction", "shown_reply"]

_HARMLESS: Final = frozenset((
    *("accept", "accept-encoding", "accept-language", "connection", "content-encoding", "content-length", "content-type", "host"),
    *("transfer-encoding", "upgrade", "user-agent", "sec-websocket-version", "http-referer", "referer", "origin", "x-title"),
    *("anthropic-version", "anthropic-beta", "openai-beta", "x-goog-api-client"),
))  # fmt: skip
_QUERY: Final = frozenset(("agent_id", "alt", "api-version", "beta", "model"))
_REPLY: Final = ("ratelimit", "request-id", "processing-ms", "region")
"""Parts of the names of headers that are worth seeing in an answer."""
_REPLY_WHOLE: Final = frozenset((
    *("content-encoding", "content-type", "date", "retry-after", "retry-after-ms", "server", "server-timing", "via", "cf-ray"),
    *("openai-version", "x-should-retry", "x-envoy-upstream-service-time"),
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Redaction:
    """An address and headers as they may be shown; `scrub` hides what they hid wherever else it stands."""

    url: str
    headers: Mapping[str, str]
    _hidden: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, url: str, headers: Mapping[str, str], *, key: str = "") -> Redaction:
        """What may be shown of this request. `key` is hidden too, wherever it was sent.

        >>> shown = Redaction.of("https://v.example/x?alt=sse&key=secret-of-mine", {"Accept": "*/*", "X-Api-Key": "another-secret"})
        >>> shown.url, dict(shown.headers), shown.scrub(b"no secret-of-mine here")
        ('https://v.example/x?alt=sse&key=[redacted]', {'Accept': '*/*', 'X-Api-Key': '[redacted]'}, b'no [redacted] here')
        """
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
        told = "&".join(f"{name}={value if name.lower() in _QUERY else REDACTED}" for name, value in query)
        place = parts.netloc.rpartition("@")[2]
        hidden = [key, *(value for name, value in query if name.lower() not in _QUERY)]
        hidden += [part for name, value in headers.items() if name.lower() not in _HARMLESS for part in _parts(value)]
        hidden += parts.netloc.rpartition("@")[0].split(":")
        shown = {name: value if name.lower() in _HARMLESS else REDACTED for name, value in headers.items()}
        secrets = tuple(sorted({value for value in hidden if len(value) >= SHORTEST_KEY}, key=len, reverse=True))
        return cls(urlunsplit((parts.scheme, place, parts.path, told, "")), shown, secrets)

    def scrub(self, data: bytes) -> bytes:
        """`data` without what is hidden."""
        for secret in self._hidden:
            data = data.replace(secret.encode(), REDACTED.encode())
        return data

    def scrub_text(self, text: str) -> str:
        """The same for text."""
        for secret in self._hidden:
            text = text.replace(secret, REDACTED)
        return text

    def scrub_error(self, error: PatterError) -> PatterError:
        """The same for an error: a server, or a vendor's own client, may quote the key that it did not take."""
        error.message = self.scrub_text(error.message)
        error.args = (error.message,)
        error.code, error.request_id = (told and self.scrub_text(told) for told in (error.code, error.request_id))
        return error

    def cause(self, error: BaseException | None) -> BaseException | None:
        """`error` as the cause of another; None where its traceback shows what is hidden."""
        if error is None or not self._hidden:
            return error
        told = "".join(format_exception(error))
        return error if self.scrub_text(told) == told else None


def _parts(value: str) -> list[str]:
    """Of a header what may be a key: the whole, what follows the scheme, and each word, with and without its name."""
    words = re.split(r"[\s;,]+", value)
    return [value, value.split(" ", 1)[-1], *words, *(word.partition("=")[2] for word in words)]


def shown_reply(headers: Mapping[str, str]) -> dict[str, str]:
    """Of an answer's headers those that tell something: its name, limits and how much is left of them, when to ask again, by whom it came.

    >>> shown_reply({"x-request-id": "req_1", "x-ratelimit-remaining-tokens": "149984", "Set-Cookie": "__cf_bm=..."})
    {'x-request-id': 'req_1', 'x-ratelimit-remaining-tokens': '149984'}
    """
    lower = {name: name.lower() for name in headers}
    return {name: headers[name] for name, low in lower.items() if low in _REPLY_WHOLE or any(part in low for part in _REPLY)}
