"""A tool that is a URL: what one call of it sends, what it may answer, and which failures are worth another attempt."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

from patter_nb.tools.kept_client import KeptClient
from patter_nb.tools.outcome import ToolCallError, as_text
from patter_nb.tools.url_guard import BlockedURL, UrlGuard

if TYPE_CHECKING:
    import httpx

    from patter_nb.tools.signature import ToolContext

MAX_REPLY_BYTES: Final = 1024 * 1024
AGAIN: Final = frozenset((408, 425, 429, 500, 502, 503, 504))
"""Statuses that say nothing about the request itself, so that the same one may succeed later."""


class WebhookFailed(ToolCallError):
    """One attempt came to nothing. `again` says whether another may do better."""

    again: bool = False


def body_of(name: str, arguments: Mapping[str, Any], ctx: ToolContext, attempt: int) -> bytes:
    """What is posted: {tool, arguments, call_id, caller, callee, attempt}, `attempt` from 1.

    `caller` and `callee` are the agent's variables of these names; "" where there are none, for nobody is telephoned with.
    """
    caller, callee = (str(ctx.variables.get(who, "")) for who in ("caller", "callee"))
    sent = {"tool": name, "arguments": dict(arguments), "call_id": ctx.call_id, "caller": caller, "callee": callee, "attempt": attempt}
    return as_text(sent).encode()


class Webhooks:
    """Posts to webhooks with one client, made when it is first needed, and again after `aclose`."""

    def __init__(self, guard: UrlGuard) -> None:
        self._guard = guard
        self._kept = KeptClient(guard)

    async def call(self, name: str, url: str, body: bytes, authenticate: Callable[[httpx.Request], Awaitable[None]]) -> Any:
        """One attempt: the value of the JSON that came back. Raises `WebhookFailed`, and what `authenticate` raises."""
        import httpx

        from patter_nb.tools.guarded_http import ReplyTooLarge, post

        try:
            self._guard.check(url)
            async with self._kept.client() as client:
                reply = await post(client, url, body, limit=MAX_REPLY_BYTES, headers={}, prepare=authenticate)
        except BlockedURL as error:
            failure = WebhookFailed(
                f"The address of the tool {name} is not allowed: {error.message}",
                code="blocked",
                hint="Answer without it, and do not call it again. Its owner can name the host in allow_hosts of the tool executor.",
            )
            raise failure from error
        except ReplyTooLarge as error:
            failure = WebhookFailed(
                f"The answer of the tool {name} is too large: {error}; at most {MAX_REPLY_BYTES:,} are read.",
                code="result_too_large",
                hint="Ask for less of it.",
            )
            raise failure from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            told = f"{type(error).__name__}: {error}".rstrip(": ")
            broken = isinstance(error, httpx.TransportError) and not isinstance(error, (httpx.UnsupportedProtocol, httpx.DecodingError))
            _fail(f"The tool {name} could not be reached ({told}).", again=broken, cause=error)
        if not reply.is_success:
            said = f" and says: {reply.excerpt}" if reply.excerpt else ""
            _fail(f"The tool {name} answered with status {reply.status}{said}.", again=reply.status in AGAIN)
        try:
            return json.loads(reply.body)
        except (ValueError, RecursionError) as error:
            _fail(f"The tool {name} answered with something that is no JSON.", again=False, cause=error)

    async def aclose(self) -> None:
        """Close the connections; those of requests under way with their end. A later request opens new ones."""
        await self._kept.aclose()


def _fail(told: str, *, again: bool, cause: Exception | None = None) -> NoReturn:
    hint = "Answer without it, or try once more later." if again else "Answer without it; the same call would fail again."
    failure = WebhookFailed(told, code="failed", hint=hint)
    failure.again = again
    raise failure from cause
