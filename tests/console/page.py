"""The page's side of the console's comms for tests without a browser: what the kernel sent, and what a page sends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import comm
import numpy as np
from comm.base_comm import BaseComm

from patter_nb.console.face import Face, face_of
from patter_nb.session import Session


class Wire(BaseComm):
    """A comm whose messages are kept."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.sent: list[tuple[dict[str, Any], list[bytes]]] = []
        super().__init__(*args, **kwargs)

    def publish_msg(self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **keys: Any) -> None:
        self.sent.append((dict(data or {}), [bytes(buffer) for buffer in buffers or ()]))


@contextmanager
def wires() -> Iterator[None]:
    """Widgets made inside talk over `Wire`s."""
    before = comm.create_comm
    comm.create_comm = Wire
    try:
        yield
    finally:
        comm.create_comm = before


class Page:
    """One page that shows `session`, by the protocol that a real page speaks."""

    def __init__(self, session: Session, name: str = "page one") -> None:
        with wires():
            self.face: Face = face_of(session)
        self.name = name
        self.opening = 1

    def tell(self, kind: str, *, buffer: bytes | None = None, **content: Any) -> None:
        """Send a message as the browser would."""
        data = {"method": "custom", "content": {"kind": kind, "page": self.name, "sent": 0.0, **content}}
        message = {"content": {"data": data}, "buffers": [] if buffer is None else [memoryview(buffer)]}
        self.face.ears.comm.handle_msg(message)

    def speak(self, seq: int, *, frames: int = 2, sent: float | None = None, echo: Sequence[bool] = ()) -> None:
        """Send frames of silence."""
        pcm, at_ms = np.zeros(320 * frames, "<i2").tobytes(), seq * 20.0
        sent = at_ms if sent is None else sent
        self.tell("frames", buffer=pcm, opening=self.opening, seq=seq, t=at_ms, sent=sent, echo=echo, count=frames)

    def got(self, *kinds: str) -> list[dict[str, Any]]:
        """The messages of these kinds that the kernel has sent on the screen."""
        messages = [data["content"] for data, _ in self.face.screen.comm.sent if data.get("method") == "custom"]
        return [content for content in messages if not kinds or content["kind"] in kinds]

    def acks(self) -> list[dict[str, Any]]:
        return [data["content"] for data, _ in self.face.ears.comm.sent if data.get("method") == "custom"]


def applied(picture: dict[str, Any], ops: list[list[Any]]) -> dict[str, Any]:
    """`picture` after `ops`, as a page applies them."""
    turns = {turn["id"]: turn for turn in picture["turns"]}
    for verb, *rest in ops:
        match verb:
            case "set":
                picture[rest[0]] = rest[1]
            case "fault":
                picture["faults"].append(rest[0])
            case "turn":
                if rest[0] not in turns:
                    turns[rest[0]] = {"pieces": [], "tools": [], "chunks": []}
                    picture["turns"].append(turns[rest[0]])
                turns[rest[0]].update(rest[1])
            case "piece" | "tool":
                items = turns[rest[0]][f"{verb}s"]
                items[rest[1] :] = [rest[2], *items[rest[1] + 1 :]]
            case "arguments":
                tool = turns[rest[0]]["tools"][rest[1]]
                tool["arguments"] += rest[2]
            case "chunks":
                turns[rest[0]]["chunks"] += [[kind, text] for kind, *texts in rest[1] for text in texts]
            case _:
                raise AssertionError(f"unknown operation {verb}")
    return picture
