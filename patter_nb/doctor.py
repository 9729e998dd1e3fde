"""What stands behind a session, for who looks for why it does not work: what is installed, how it is connected, how long things take."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from patter_nb.session import Session

__all__ = ["Finding", "Report", "examine"]

_PACKAGES = ("patter-nb", "numpy", "ipykernel", "ipython", "ipywidgets", "anywidget", "jupyterlab", "jupyter_server")
_RECENT = 3000
"""Frames: the last minute."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found: under which `topic`, its `name`, its value in words, and a `remedy` where it is in the way of something."""

    topic: str
    name: str
    value: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found. It shows itself as a table; `str` is the same in lines."""

    findings: tuple[Finding, ...]

    def __str__(self) -> str:
        lines: list[str] = []
        for topic in dict.fromkeys(finding.topic for finding in self.findings):
            lines.append(topic)
            for finding in self.findings:
                if finding.topic == topic:
                    lines.append(f"  {finding.name:24}{finding.value}")
                    lines += [f"  {'':24}-> {finding.remedy}"] if finding.remedy else []
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)


def examine(session: Session) -> Report:
    """Look at `session` and at what it runs on. Nothing is awaited, and nothing is sent."""
    return Report((*_installed(), *_running(session), *_keys(), *_console(session), *_measured(session)))


def _installed() -> Iterator[Finding]:
    yield Finding("versions", "Python", f"{platform.python_version()}, {platform.system()} {platform.machine()}")
    for name in _PACKAGES:
        try:
            yield Finding("versions", name, version(name))
        except PackageNotFoundError:
            yield Finding("versions", name, "not installed")


def _running(session: Session) -> Iterator[Finding]:
    yield Finding("session", "state", session.state)
    for stage, what in session.agent.parts().items():
        yield Finding("session", stage, what)
    yield Finding("session", "transport", type(session.transport).__name__)


def _keys() -> Iterator[Finding]:
    """Which vendors there is a key for; never the key."""
    from patter_nb.offers import offers

    for offer in offers():
        if offer.keys:
            unset = f"no key ({' or '.join(offer.keys)})"
            yield Finding("providers", offer.name, unset if offer.key_set is None else f"{offer.key_set} is set")


def _console(session: Session) -> Iterator[Finding]:
    from patter_nb import console

    yield from console.findings(session)


def _measured(session: Session) -> Iterator[Finding]:
    frames = session.events.frames
    late_ms = np.asarray(frames)["late_ms"][-_RECENT:] if len(frames) else np.array([])
    if not len(late_ms):
        yield Finding("measured", "sound", "no frame has come yet")
        return
    half, most = np.percentile(late_ms, (50, 95))
    remedy = "A cell kept the kernel busy, or the machine is slow." if most > 1000 else ""
    yield Finding("measured", "frames late by", f"median {half:.0f} ms, 95 % within {most:.0f} ms, at most {late_ms.max():.0f} ms", remedy)
    response = [turn.latency["response"] for turn in session.turns if "response" in turn.latency]
    if response:
        yield Finding("measured", "answers heard after", f"median {np.median(response):.0f} ms ({len(response)} turns)")
