"""Text that was cut inside a character: JSON escapes of a UTF-16 pair in two chunks, or one half alone.

Some servers cut text by UTF-16 units, so an emoji comes as two escapes in two deltas. Python keeps each as a lone surrogate, which no
encoder takes: a log, a socket and a voice would all fail on it.
"""

from __future__ import annotations

__all__ = ["Joiner"]

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class Joiner:
    """Mends one running text. A half whose other half may still come is held back.

    >>> joiner = Joiner()
    >>> joiner.take("So \\ud83d"), joiner.take("\\ude00 funny \\ude00"), joiner.rest()
    ('So ', '😀 funny �', '')
    """

    def __init__(self) -> None:
        self._held = ""

    def take(self, text: str) -> str:
        """`text`, mended, with what was held back before it."""
        text = self._held + text
        self._held = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._held = text[:-1], text[-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def rest(self) -> str:
        """What stands for a half that was held back and never completed."""
        held, self._held = self._held, ""
        return held and _REPLACEMENT
