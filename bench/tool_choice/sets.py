"""Reads the sets of tools and requests that tool choice is fitted on and measured by."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from patter_nb.llm.base import ToolSpec

HERE = Path(__file__).parent
_TYPES = {"s": "string", "i": "integer", "n": "number", "b": "boolean"}
_TOOL = re.compile(r"(\w+)\((.*?)\) (.*)")


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody says in `domain`, the name of the tool it means or None, and the values accepted for each argument where known."""

    domain: str
    text: str
    tool: str | None
    accepted: Mapping[str, list[Any]] | None
    shares_no_word: bool = False


@dataclass(frozen=True, slots=True)
class RequestSet:
    """Tools by domain, and the requests posed to them."""

    tools: Mapping[str, list[ToolSpec]]
    requests: list[Request]


def read_json(path: Path) -> RequestSet:
    """A set as `tuning.json` has it."""
    content = json.loads(path.read_text("utf-8"))
    tools: dict[str, list[ToolSpec]] = {}
    for tool in content["tools"]:
        tools.setdefault(tool["domain"], []).append(tool)
    requests = [
        Request(entry["domain"], entry["text"], entry["tool"], entry["arguments"], bool(entry.get("shares_no_word")))
        for entry in content["requests"]
    ]
    return RequestSet(tools, requests)


def read_lessons(path: Path = HERE / "lessons.txt") -> RequestSet:
    """The set in `lessons.txt`, whose form is told at its top."""
    tools: dict[str, list[ToolSpec]] = {}
    requests: list[Request] = []
    domain = ""
    for line in path.read_text("utf-8").splitlines():
        mark, _, rest = line.strip().partition(" ")
        match mark:
            case "domain":
                domain = rest
                tools.setdefault(domain, [])
            case "tool":
                tools[domain].append(_tool(rest))
            case "=":
                at = rest.rindex("{")
                tools[domain][-1]["x-examples"].append({"text": rest[:at].strip(), "arguments": json.loads(rest[at:])})
            case "+":
                requests.append(Request(domain, rest, tools[domain][-1]["function"]["name"], None))
            case "-":
                requests.append(Request(domain, rest, None, None))
    return RequestSet(tools, requests)


def _tool(line: str) -> ToolSpec:
    match = _TOOL.fullmatch(line)
    if match is None:
        raise ValueError(f"not a tool: {line}")
    name, arguments, description = match.groups()
    properties: dict[str, Any] = {}
    required: list[str] = []
    for argument in filter(None, arguments.split(", ")):
        key, kind = argument.split(":")
        plain = kind.rstrip("!")
        properties[key] = {"type": _TYPES[plain]} if plain in _TYPES else {"type": "string", "enum": plain.split("|")}
        if kind.endswith("!"):
            required.append(key)
    parameters = {"type": "object", "properties": properties, "required": required}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}, "x-examples": []}
