"""What is said without the model: a tool's result in a sentence, what is missing for a call, and what can be done at all.

Everything is made of the tools' own names and descriptions, in the short style of speech.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from patter_nb.llm.local.manners import Manner
from patter_nb.llm.local.toolview import ToolView, spoken_name

_NAMED_TOOLS: Final = 3
_SPOKEN_WORDS: Final = 60
_BEGINS_A_PHRASE: Final = re.compile(
    r"(?:the|a|an|which|what|when|where|who|whose|how|whether|after|before|from|until|your|my|one|any)\b", re.IGNORECASE
)


def kindly(manner: Manner | None, tools: Sequence[ToolView]) -> str:
    """An answer to what no tool is meant by: to a saying of some `manner`, or else what the tools can do."""
    doings = [doing(tool) for tool in tools[:_NAMED_TOOLS]] + (["do a few things more"] if len(tools) > _NAMED_TOOLS else [])
    able = f"I can {listed(doings, 'or')}."
    match manner:
        case "greeting":
            return f"Hello! {able}"
        case "thanks":
            return "You're welcome."
        case "farewell":
            return "Goodbye!"
        case "refusal":
            return "All right."
        case "abilities":
            return able
    return f"I'm afraid I can't help with that. {able}"


def question_of(tool: ToolView) -> str:
    """How every question about `tool` begins."""
    return f"I can {doing(tool)}. Please tell me "


def ask_for(tool: ToolView, missing: Sequence[str]) -> str:
    """What `tool` still needs before it can run."""
    wanted = [_wanted(argument.description, argument.spoken) for argument in tool.arguments if argument.name in missing]
    return f"{question_of(tool)}{listed(wanted, 'and')}."


def doing(tool: ToolView) -> str:
    """The tool's deed as it follows "I can": the first sentence of its description, else its name."""
    sentence = re.split(r"(?<=[.!?])\s", tool.description)[0].rstrip(".!? ")
    if not sentence:
        return tool.spoken
    first, _, rest = sentence.partition(" ")
    if first.endswith("s") and not first.endswith("ss"):  # "Returns the ..." is the third person of the same deed
        first = re.sub(r"(?<=ss|ch|sh)es$|(?<=x)es$|s$", "", first) if not first.endswith("ies") else f"{first[:-3]}y"
    return f"{first if first[1:2].isupper() else first[:1].lower() + first[1:]} {rest}".strip()


def result(name: str, content: str) -> str:
    """What the tool `name` gave back, in a sentence. `content` is text or JSON; a tool's own {"error": ...} is told as a failure."""
    try:
        value = json.loads(content)
    except ValueError:
        value = content
    if isinstance(value, Mapping) and value.get("error") and value.get("fallback"):
        return "I'm sorry, that did not work."  # what went wrong inside is for the log, not for the person
    if isinstance(value, Mapping) and value.get("error"):
        error = value["error"]
        reason = error.get("message", error) if isinstance(error, Mapping) else error
        return _sentence(f"I'm sorry, that did not work: {_told(reason)}")
    if value is None or value is True or value in ("", {}, []):
        return "Done."
    if value is False:
        return "I'm sorry, that did not work."
    if isinstance(value, str):
        return _sentence(_shortened(value))
    subject = " ".join(spoken_name(name).split()[1:]) or "result"
    if isinstance(value, Mapping):
        return _sentence(_shortened(listed([f"the {spoken_name(str(key))} is {_told(entry)}" for key, entry in value.items()], "and")))
    return _sentence(_shortened(f"the {subject} {'are' if isinstance(value, list) and len(value) > 1 else 'is'} {_told(value)}"))


def listed(parts: Sequence[str], last: str) -> str:
    """
    >>> listed(["a", "b", "c"], "or")
    'a, b or c'
    """
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}" if len(parts) > 1 else "".join(parts)


def _wanted(description: str, name: str) -> str:
    text = description.split(". ", maxsplit=1)[0].rstrip(".!? ") or name
    text = text[:1].lower() + text[1:] if not text[1:2].isupper() else text
    return text if _BEGINS_A_PHRASE.match(text) else f"the {text}"


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "unknown"
    if isinstance(value, Mapping):
        return listed([f"{spoken_name(str(key))} {_told(entry)}" for key, entry in value.items()], "and")
    if isinstance(value, list):
        return listed([_told(entry) for entry in value], "and") or "none"
    return str(value)


def _sentence(text: str) -> str:
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?', '…')) else '.'}"


def _shortened(text: str) -> str:
    words = text.split()
    return " ".join(words[:_SPOKEN_WORDS]) + (" and so on" if len(words) > _SPOKEN_WORDS else "")
