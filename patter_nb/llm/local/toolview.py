"""A tool as the small model sees it: its own words, its arguments and its examples, read once from the OpenAI-shaped dict."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from patter_nb.errors import PatterConfigError
from patter_nb.llm.base import ToolSpec

Kind: TypeAlias = Literal["string", "number", "integer", "boolean", "enum", "other"]


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a tool. `choices` holds the values of an enum, `schema` its JSON Schema."""

    name: str
    kind: Kind
    required: bool
    description: str
    choices: tuple[Any, ...]
    schema: Mapping[str, Any]

    @property
    def spoken(self) -> str:
        """Its name as one says it: first_name and firstName are "first name"."""
        return spoken_name(self.name)


@dataclass(frozen=True, slots=True)
class Example:
    """A request the tool was given as an example, and its arguments where they came along."""

    text: str
    arguments: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class ToolView:
    """What a tool says of itself."""

    name: str
    description: str
    arguments: tuple[Argument, ...]
    examples: tuple[Example, ...]

    @property
    def spoken(self) -> str:
        return spoken_name(self.name)


def view(spec: ToolSpec) -> ToolView:
    """`spec` as a `ToolView`. Raises `PatterConfigError` for a dict that is no tool."""
    function = spec.get("function")
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise PatterConfigError(
            f"{spec!r:.80} is no tool.",
            hint='A tool is {"type": "function", "function": {"name": ..., "description": ..., "parameters": ...}}.',
        )
    schema = function.get("parameters") or {}
    required = schema.get("required", ())
    return ToolView(
        name=function["name"],
        description=" ".join(str(function.get("description") or "").split()),
        arguments=tuple(_argument(name, entry, name in required) for name, entry in schema.get("properties", {}).items()),
        examples=tuple(_example(entry) for entry in spec.get("x-examples", ())),
    )


def spoken_name(name: str) -> str:
    """
    >>> spoken_name("get_weather"), spoken_name("firstName")
    ('get weather', 'first name')
    """
    return " ".join(re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_\W]+", " ", name).lower().split())


def _argument(name: str, schema: Mapping[str, Any], required: bool) -> Argument:
    plain = _without_null(schema)
    choices = tuple(plain["enum"]) if "enum" in plain else ((plain["const"],) if "const" in plain else ())
    kind: Kind = "other"
    if choices:
        kind = "enum"
    elif plain.get("type") in ("string", "number", "integer", "boolean"):
        kind = plain["type"]
    return Argument(name, kind, required, str(schema.get("description") or ""), choices, schema)


def _without_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """`schema` without the null of an optional value, written as anyOf or as a list of types."""
    kinds = schema.get("type")
    if isinstance(kinds, list):
        kept = [kind for kind in kinds if kind != "null"]
        return {**schema, "type": kept[0] if len(kept) == 1 else kept}
    options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    return options[0] if len(options) == 1 else schema


def _example(entry: object) -> Example:
    if isinstance(entry, Mapping):
        arguments = entry.get("arguments")
        return Example(str(entry.get("text", "")), arguments if isinstance(arguments, Mapping) else None)
    return Example(str(entry), None)
