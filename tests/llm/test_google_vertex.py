"""Vertex AI by arguments or by environment alone: a service account's credentials, a token of a real endpoint, the right address."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from ways import USER

from patter_nb import GoogleLLM
from patter_nb.errors import AuthenticationError, PatterConfigError
from patter_nb.testing import WireServer

NAMES = ("GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION", "GOOGLE_APPLICATION_CREDENTIALS")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, "GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def tokens(lifetime_s: int = 3600) -> AsyncIterator[tuple[str, list[Any]]]:
    """A token endpoint: its address, and what it was asked."""
    asked: list[Any] = []

    async def token(request: web.Request) -> web.Response:
        asked.append(parse_qs(await request.text()))
        return web.json_response({"access_token": "test-key", "expires_in": lifetime_s, "token_type": "Bearer"})

    app = web.Application()
    app.router.add_post("/token", token)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/token", asked
    finally:
        await runner.cleanup()


def service_account(folder: Path, token_uri: str) -> Path:
    """A service account's file, with a key made just now."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    path = folder / "account.json"
    account = {"type": "service_account", "project_id": "p", "client_email": "me@p.example", "private_key": pem, "private_key_id": "1"}
    path.write_text(json.dumps({**account, "token_uri": token_uri}), "utf-8")
    return path


async def said(llm: GoogleLLM) -> str:
    return "".join([chunk.content or "" async for chunk in llm.stream([USER]) if chunk.type == "text"])


async def test_by_arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with tokens() as (token_uri, asked), WireServer(["Hello.", "Again."]) as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(tmp_path, token_uri)))
        llm = GoogleLLM(vertexai=True, project="mine", location="europe-west4", base_url=server.google_url)
        assert [await said(llm), await said(llm)] == ["Hello.", "Again."]
    assert len(asked) == 1, "a token is used until it runs out"
    paths = {request.path for request in server.requests}
    assert paths == {"/v1/projects/mine/locations/europe-west4/publishers/google/models/gemini-2.5-flash:streamGenerateContent"}
    assert server.requests[0].headers["authorization"] == "Bearer test-key"
    assert "x-goog-api-key" not in server.requests[0].headers


async def test_by_environment_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with tokens() as (token_uri, _), WireServer(["Hello."]) as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(tmp_path, token_uri)))
        monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "True")
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "theirs")
        assert await said(GoogleLLM(base_url=server.google_url)) == "Hello."
    assert server.requests[0].path.startswith("/v1/projects/theirs/locations/us-central1/")


async def test_a_token_that_has_run_out_is_fetched_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with tokens(lifetime_s=1) as (token_uri, asked), WireServer(["Hello.", "Again."]) as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(tmp_path, token_uri)))
        llm = GoogleLLM(vertexai=True, project="mine", base_url=server.google_url)
        assert [await said(llm), await said(llm)] == ["Hello.", "Again."]
    assert len(asked) == 2


async def test_without_credentials_it_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nowhere.json"))
    with pytest.raises(AuthenticationError, match="gcloud auth application-default login"):
        await said(GoogleLLM(vertexai=True, project="mine", base_url="http://127.0.0.1:9"))


def test_it_needs_a_project_and_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PatterConfigError, match="GOOGLE_CLOUD_PROJECT"):
        GoogleLLM(vertexai=True)
    with pytest.raises(PatterConfigError, match="GEMINI_API_KEY or GOOGLE_API_KEY"):
        GoogleLLM()
    assert GoogleLLM(vertexai=True, project="mine").url().startswith("https://us-central1-aiplatform.googleapis.com/v1/projects/mine/")
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "1")
    assert "generativelanguage" in GoogleLLM("a key").url(), "a key that is passed is meant for the Gemini API"


def test_row_17_the_first_of_two_keys_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "second")
    assert GoogleLLM()._key == "second"
    monkeypatch.setenv("GEMINI_API_KEY", "first")
    assert GoogleLLM()._key == "first"
