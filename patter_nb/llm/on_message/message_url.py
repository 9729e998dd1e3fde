"""A URL that answers in place of a language model: what is known of it before it is called."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from patter_nb.errors import PatterConfigError
from patter_nb.tools.url_guard import WEB, UrlGuard

SIGNATURE_HEADER: Final = "X-Patter-Signature"


@dataclass(frozen=True, slots=True, repr=False)
class MessageURL:
    """Where the person's words are sent to be answered.

    url          "https://..." is posted the message and answers with JSON {"text"}, a JSON string, or text/plain, at most 64 KiB within
                 30 s. "wss://..." is sent it once and streams its answer in frames: {"text"}, plain text, and {"done": true} at the end;
                 10 s to connect, 30 s for each frame. http and ws are plain text on the wire
    secret       if given, the header X-Patter-Signature holds the HMAC-SHA256 of the body in hex, so that the server knows its sender
    allow_hosts  hosts that may be called though they are not public: "localhost", "127.0.0.1:8080"

    Raises `PatterConfigError` for what is no such URL, or one that is not public.

    >>> MessageURL("https://example.com/answer?key=k", secret="s3cret")
    MessageURL('https://example.com/...')
    """

    url: str
    secret: str | None = field(default=None, kw_only=True)
    allow_hosts: Sequence[str] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        self.guard().check(self.url, WEB)
        object.__setattr__(self, "allow_hosts", tuple(self.allow_hosts))
        if self.secret is not None and not (isinstance(self.secret, str) and self.secret):
            raise PatterConfigError(
                "The secret of a MessageURL is no text, or empty.", hint="Pass the text that the server knows, or None."
            )

    @property
    def is_socket(self) -> bool:
        """Whether it is a WebSocket's."""
        return self.url.lower().startswith("ws")

    @property
    def is_private(self) -> bool:
        """Whether nobody on the way can read what is sent."""
        return self.url.lower().startswith(("https:", "wss:"))

    @property
    def host(self) -> str:
        """The part that may be shown."""
        return re.split(r"[/?#]", self.url)[2]

    def __repr__(self) -> str:
        """Without what may be a key: secret, path and query."""
        return f"MessageURL('{self.url.split(':')[0]}://{self.host}/...')"

    def guard(self) -> UrlGuard:
        """What checks each address before it is connected to."""
        return UrlGuard(self.allow_hosts)

    def headers(self, body: bytes) -> dict[str, str]:
        """The signature, where there is a secret."""
        if self.secret is None:
            return {}
        return {SIGNATURE_HEADER: hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()}
