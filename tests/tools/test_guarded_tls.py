"""Over TLS a checked address is connected to and the name is still what the certificate must be for."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from patter_nb.errors import ConnectionFailed
from patter_nb.llm.on_message import MessageURL, OnMessageLLM
from patter_nb.tools.guarded_http import guarded_client, post
from patter_nb.tools.url_guard import BlockedURL, UrlGuard


def certificate(folder: Path, name: str) -> Path:
    """A self-signed certificate for `name` with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


async def leads_here(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


@asynccontextmanager
async def serving_tls(file: Path, location: str | None = None) -> AsyncIterator[tuple[int, list[str | None]]]:
    """A server with that certificate: its port, and the names that it was asked for by TLS."""
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    context.sni_callback = lambda socket, name, context: names.append(name)

    async def answer(request: web.Request) -> web.StreamResponse:
        if location is not None:
            return web.Response(status=307, headers={"Location": location})
        return web.json_response(request.headers["Host"])

    app = web.Application()

    async def talk(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.receive()
        await ws.send_json({"text": "Hello.", "done": True})
        await ws.close()
        return ws

    app.router.add_post("/", answer)
    app.router.add_get("/talk", talk)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield runner.addresses[0][1], names
    finally:
        await runner.cleanup()


async def test_the_certificate_is_checked_against_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = certificate(tmp_path, "tools.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with serving_tls(file) as (port, names):
        async with guarded_client(UrlGuard([f"127.0.0.1:{port}"], resolve=leads_here)) as client:
            reply = await post(client, f"https://tools.example:{port}/", b"{}", limit=100, headers={})
            assert reply.body.decode() == f'"tools.example:{port}"'
            with pytest.raises(httpx.ConnectError, match=r"(?i)certificate"):
                await post(client, f"https://other.example:{port}/", b"{}", limit=100, headers={})
    assert names == ["tools.example", "other.example"]


async def test_a_web_sockets_certificate_is_checked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = certificate(tmp_path, "tools.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setattr("patter_nb.tools.url_guard._system_resolve", leads_here)

    async def said(name: str) -> list[str | None]:
        llm = OnMessageLLM(MessageURL(f"wss://{name}:{port}/talk", allow_hosts=[f"127.0.0.1:{port}"]))
        return [chunk.content async for chunk in llm.stream([{"role": "user", "content": "Hi"}])]

    async with serving_tls(file) as (port, names):
        assert await said("tools.example") == ["Hello.", None]
        with pytest.raises(ConnectionFailed, match=r"(?i)certificate"):
            await said("other.example")
    assert names == ["tools.example", "other.example"]


async def test_a_redirect_from_https_to_http_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = certificate(tmp_path, "tools.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with serving_tls(file, location="http://tools.example/") as (port, _):
        async with guarded_client(UrlGuard([f"127.0.0.1:{port}"], resolve=leads_here)) as client:
            with pytest.raises(BlockedURL, match="from https to http"):
                await post(client, f"https://tools.example:{port}/", b"{}", limit=100, headers={})
