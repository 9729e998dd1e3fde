"""What is known of a session's pages, for `session.doctor()`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from patter_nb.console.face import Face
from patter_nb.console.routing import in_words
from patter_nb.console.transport import ConsoleTransport
from patter_nb.doctor import Finding
from patter_nb.session import Session

__all__ = ["findings"]

_OPEN_A_PAGE = "Show the session in a cell: session"


def findings(session: Session) -> Iterator[Finding]:
    """How the kernel is reached, and each page with what it told of itself."""
    if isinstance(session.transport, ConsoleTransport):
        yield Finding("kernel", "routing", in_words(session.transport.handled_by))
    pages = session.face.facts if isinstance(session.face, Face) else {}
    if not pages:
        yield Finding("page", "connected", "none", _OPEN_A_PAGE)
    for number, facts in enumerate(pages.values(), start=1):
        topic = "page" if len(pages) == 1 else f"page {number}"
        yield from _page(topic, facts)


def _page(topic: str, facts: Mapping[str, Any]) -> Iterator[Finding]:
    secure = bool(facts.get("secure"))
    remedy = "" if secure else "The browser gives no microphone here: open it over https, or on 127.0.0.1 or localhost."
    yield Finding(topic, "secure context", "yes" if secure else "no", remedy)
    for name, label, unit in (
        ("agent", "browser", ""),
        ("devices", "microphones", ""),
        ("microphone", "microphone in use", ""),
        ("trackRate", "microphone rate", " Hz"),
        ("contextRate", "audio rate", " Hz"),
        ("outputLatencyMs", "output latency", " ms"),
        ("roundTripMs", "page to kernel and back", " ms"),
        ("echoCancellation", "echo cancellation", ""),
    ):
        value = facts.get(name)
        if value is not None:
            yield Finding(topic, label, f"{value:.0f}{unit}" if isinstance(value, float) else f"{value}{unit}"[:200])
