"""What is said to nobody's tool: a greeting, thanks, a farewell, a no, or the question what the agent can do. Each has a kind answer.

They are known by their likeness to a few sentences of the kind, as the encoder sees them, and only where no tool is meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from patter_nb.llm.local.encoder import Encoder, Reading, bare

__all__ = ["Manner", "Manners"]

Manner: TypeAlias = Literal["greeting", "thanks", "farewell", "abilities", "refusal"]

_SAYINGS: Final[Mapping[Manner, tuple[str, ...]]] = {
    "greeting": ("Hello", "Hi there, how are you?", "Good morning", "Hey, are you there?", "Nice to meet you"),
    "thanks": ("Thank you", "Thanks a lot, that's great", "Thank you so much for your help"),
    "farewell": ("Goodbye", "Bye bye", "See you later, that's all for today", "Good night", "Thanks, bye"),
    "refusal": ("Never mind", "Forget it", "No thank you", "No, cancel that", "No, I changed my mind"),
    "abilities": ("What can you do?", "How can you help me?", "What are you able to do?", "Who are you?", "What should I ask you?"),
}
_LIKE: Final = 0.7
"""Of the 3,278 sayings without a tool in bench/tool_choice 18 are so like one, and each of them is of that manner."""


class Manners:
    """Tells the manner of a saying."""

    def __init__(self, encoder: Encoder) -> None:
        self._known = [(manner, encoder.read(bare(text)).sentence) for manner, texts in _SAYINGS.items() for text in texts]

    def of(self, saying: Reading) -> Manner | None:
        """The manner that `saying` is of, or None."""
        likeness, manner = max(((float(saying.sentence @ known), manner) for manner, known in self._known), key=lambda entry: entry[0])
        return manner if likeness >= _LIKE else None
