"""What is asked of ElevenLabs over HTTP before and beside a conversation: a signed URL for it, and how long it may last."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import aiohttp

from patter_nb.errors import ConnectionFailed, MalformedStream, RequestTimeout
from patter_nb.wire.pool import CONNECT_S, pool
from patter_nb.wire.refusals import Refusal, refusal_of
from patter_nb.wire.unreachable import cause_of

__all__ = ["LONGEST_S", "Account", "Answered"]

LONGEST_S: Final = 600.0
"""How long a conversation lasts at most where the agent's settings say nothing else ("Create agent": `max_duration_seconds`)."""


class Answered(NamedTuple):
    """The vendor's answer to a request."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def refusal(self) -> Refusal:
        """ElevenLabs' own form of an error: {"detail": {"status", "message"}}, or {"detail": text}."""
        try:
            detail = json.loads(self.body).get("detail")
        except (ValueError, AttributeError):
            return refusal_of(self.body, status=self.status, headers=dict(self.headers))
        told = {"message": detail.get("message"), "code": detail.get("status")} if isinstance(detail, dict) else {"message": str(detail)}
        return refusal_of({"error": told}, status=self.status, headers=dict(self.headers))


class Account:
    """The account that a key is of, and one agent of it."""

    def __init__(self, base_url: str, key: str, agent_id: str) -> None:
        self._base_url = base_url
        self._key = key
        self._agent_id = agent_id
        self._where = {"provider": "elevenlabs", "model": agent_id}

    async def sign(self) -> Answered:
        """Ask for a URL that holds for one conversation and needs no key ("Get signed URL")."""
        return await self._get("/v1/convai/conversation/get-signed-url", {"agent_id": self._agent_id})

    def signed_url(self, answered: Answered) -> str:
        """The URL in that answer. Raises `MalformedStream` where there is none."""
        try:
            return str(json.loads(answered.body)["signed_url"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            told = f"ElevenLabs sent no signed URL: {answered.body[:100]!r}."
            raise MalformedStream(told, hint="Check base_url if you set it.", **self._where) from error  # type: ignore[arg-type]

    async def longest_s(self) -> float:
        """How many seconds a conversation with the agent may last ("Get agent"), `LONGEST_S` where its settings may not be read."""
        answered = await self._get(f"/v1/convai/agents/{quote(self._agent_id, safe='')}", {})
        if answered.status != 200:  # a key may be allowed to hold conversations and not to read agents
            return LONGEST_S
        try:
            told = json.loads(answered.body)["conversation_config"]["conversation"]["max_duration_seconds"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return LONGEST_S
        return float(told) if isinstance(told, int | float) and told > 0 else LONGEST_S

    async def _get(self, path: str, query: Mapping[str, str]) -> Answered:
        """Raises `RequestTimeout` and `ConnectionFailed`."""
        url, shared, where = f"{self._base_url}{path}", pool(), self._where
        headers = {"xi-api-key": self._key}
        try:
            async with asyncio.timeout(CONNECT_S):
                asking: Any = shared.session.get(url, params=query, headers=headers, proxy=shared.proxy_for(url))
                async with asking as response:
                    return Answered(response.status, response.headers, await response.read())
        except TimeoutError as error:
            raise RequestTimeout(f"ElevenLabs did not answer within {CONNECT_S:g} s.", hint="Try again in a moment.", **where) from error  # type: ignore[arg-type]
        except (aiohttp.ClientError, OSError) as error:
            hint = "Check the network, and base_url if you set it."
            why, cause = cause_of(error)
            raise ConnectionFailed(f"ElevenLabs could not be reached: {why}.", hint=hint, **where) from cause  # type: ignore[arg-type]
