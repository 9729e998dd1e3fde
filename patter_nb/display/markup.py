"""Text made into markup that cannot be anything but text: escaped, isolated from its neighbours' direction, and cut to a known size.

Whatever a person, a model or a tool wrote is foreign. It may hold tags, control characters and overrides of the reading
direction, and be 10 MB long; a saved notebook shows all of it as plain characters and says how much it left out.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable

__all__ = ["Html", "clean", "compact_json", "fold", "foreign", "join", "left_out", "line", "shorten", "tag"]

_SUMMARY_BYTES = 120


class Html(str):
    """Markup. Any other string is text, and is escaped wherever markup is made of it."""

    __slots__ = ()


def _written_out() -> dict[int, str]:
    short = (*(code for code in range(0x20) if chr(code) not in "\n\t"), *range(0x7F, 0xA0))
    directions = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
    surrogates = range(0xD800, 0xE000)  # UTF-8 cannot carry one alone
    return {code: f"\\x{code:02x}" for code in short} | {code: f"\\u{code:04x}" for code in (*directions, *surrogates)}


_WRITTEN_OUT = _written_out()


def clean(text: str) -> str:
    r"""`text` with control characters and direction overrides written out, so that they act nowhere.

    >>> print(clean("a\x1b[31m \u202egnp"))
    a\x1b[31m \u202egnp
    """
    return text.replace("\r\n", "\n").translate(_WRITTEN_OUT)


def tag(name: str, *content: str, **attributes: str) -> Html:
    """`<name attribute="...">content</name>`. `cls` is the class, without its prefix; other attributes go by their own name.

    >>> tag("b", "1 < 2", cls="warn")
    '<b class="pnb-warn">1 &lt; 2</b>'
    """
    if cls := attributes.pop("cls", ""):
        attributes = {"class": f"pnb-{cls}", **attributes}
    written = "".join(f' {key}="{html.escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{written}>{join(*content)}</{name}>")


def join(*content: str) -> Html:
    """Markup and text, one after the other."""
    return Html("".join(item if isinstance(item, Html) else _escape(item) for item in content))


def shorten(text: str, room: int) -> tuple[Html, int]:
    """The beginning of `text`, escaped, in at most `room` bytes of UTF-8, and how many characters are left out.

    >>> shorten("<b>" * 1000, 20)
    ('&lt;b&gt;&lt;b&gt;', 2994)
    """
    shown, rest = _cut(text, room, _escape)
    return Html(shown), rest


def line(text: str, room: int) -> str:
    r"""Foreign text in a line of plain text: at most `room` bytes of it.

    >>> line("one\ntwo three", 7)
    'one two… (6 more characters)'
    """
    begin = " ".join(text[: 2 * room].split())
    shown, rest = _cut(begin, room, clean)
    rest += max(0, len(text) - 2 * room)
    return f"{shown}… ({rest:,} more characters)" if rest else shown


def _cut(text: str, room: int, write: Callable[[str], str]) -> tuple[str, int]:
    head = text[:room]
    while (size := len(write(head).encode())) > room:
        head = head[: len(head) * room // size]
    return write(head), len(text) - len(head)


def _escape(text: str) -> str:
    return html.escape(clean(text), quote=False)


def left_out(count: int, what: str = "characters") -> Html:
    """The note that says how much is not shown; nothing for nothing."""
    return tag("small", f" … {count:,} more {what} not shown") if count else Html()


def foreign(text: str, room: int) -> Html:
    """Foreign text in a line of ours: at most `room` bytes of it, in a direction of its own."""
    shown, rest = shorten(text, room)
    return join(tag("bdi", shown), left_out(rest))


def fold(text: str, room: int, *, before: str = "", letters: int = 160) -> Html:
    """A value, with a word `before` it: as it is up to so many `letters`, else a summary that opens. At most `room` bytes of it."""
    if len(text) <= letters:
        return join(before, tag("code", foreign(text, room)))
    begin, _ = shorten(" ".join(text[:400].split()), _SUMMARY_BYTES)
    shown, rest = shorten(text, room)
    summary = tag("summary", before, tag("code", tag("bdi", begin), "…"), tag("small", f" {len(text):,} characters"))
    return tag("details", summary, tag("pre", tag("bdi", shown)), left_out(rest))


def compact_json(value: object) -> str:
    """`value` as JSON on one line; what JSON does not have goes by its type, never by a repr that might tell a secret."""
    try:
        return json.dumps(value, ensure_ascii=False, default=lambda other: f"<{type(other).__name__}>")
    except (TypeError, ValueError, RecursionError):
        return f"<{type(value).__name__} that is no JSON>"
