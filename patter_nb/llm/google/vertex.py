"""Vertex AI's credentials: whatever google-auth finds on this machine, a service account's file, gcloud's login or the machine's own."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from patter_nb.errors import AuthenticationError, MissingExtra

__all__ = ["VertexToken", "vertex_host"]

_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"


def vertex_host(location: str) -> str:
    """Where a region is served.

    >>> vertex_host("europe-west4"), vertex_host("global")
    ('https://europe-west4-aiplatform.googleapis.com', 'https://aiplatform.googleapis.com')
    """
    return "https://aiplatform.googleapis.com" if location == "global" else f"https://{location}-aiplatform.googleapis.com"


class VertexToken:
    """A token, fetched when it is first needed and again when it has run out."""

    def __init__(self) -> None:
        self._credentials: Any = None
        self._fetching = asyncio.Lock()

    async def get(self) -> str:
        """The token. Raises `AuthenticationError`, `MissingExtra`."""
        async with self._fetching:
            if self._credentials is None or not self._credentials.valid:
                await asyncio.to_thread(self._fetch)
        return str(self._credentials.token)

    def _fetch(self) -> None:
        try:
            import google.auth
            from google.auth.exceptions import GoogleAuthError
            from google.auth.transport.requests import Request
        except ImportError as error:
            raise MissingExtra("google", error.name or "google.auth", "Vertex AI") from error
        try:
            if self._credentials is None:
                self._credentials, _ = google.auth.default(scopes=[_SCOPE])
            self._credentials.refresh(Request())
        except GoogleAuthError as error:
            hint = "Run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS to a service account's file."
            raise AuthenticationError(f"No credentials for Vertex AI: {error}", provider="google", hint=hint) from error


