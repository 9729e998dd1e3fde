"""A tool's JSON Schema in the part of it that Gemini takes, and nothing lost: what has no keyword there is said in the description.

From Google's reference of `Schema` (an OpenAPI 3.0 subset): other keywords are refused with HTTP 400, `enum` holds strings, and null is a
flag. The names below "properties" are no keywords, whatever they are called.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["gemini_schema"]

_KEPT: Final = frozenset(
    "type description title enum required nullable format minimum maximum minLength maxLength pattern minItems maxItems minProperties"
    " maxProperties default example propertyOrdering".split()
)
_FORMATS: Final = frozenset(("enum", "date-time", "float", "double", "int32", "int64"))


def gemini_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """`schema` for Gemini. References are replaced by what they name; one that leads back to itself becomes an object of any form.

    >>> gemini_schema({"type": "object", "properties": {"title": {"type": ["string", "null"]}}, "additionalProperties": False})
    {'type': 'object', 'properties': {'title': {'nullable': True, 'type': 'string'}}}
    """
    return _converted(schema, {**schema.get("definitions", {}), **schema.get("$defs", {})}, ())


def _converted(schema: Mapping[str, Any], named: Mapping[str, Any], inside: tuple[str, ...]) -> dict[str, Any]:
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        if name in inside or name not in named:
            return {**_converted(beside, named, inside), "type": "object"}
        return _converted({**named[name], **beside}, named, (*inside, name))
    for part in schema.get("allOf", ()):
        schema = _both(schema, part, named)
    out: dict[str, Any] = {key: value for key, value in schema.items() if key in _KEPT}
    if isinstance(properties := schema.get("properties"), Mapping):
        out["properties"] = {name: _converted(part, named, inside) for name, part in properties.items()}
    if isinstance(items := schema.get("items"), Mapping):
        out["items"] = _converted(items, named, inside)
    elif schema.get("type") == "array":
        out["items"] = {"type": "string"}  # an array without them is refused
    if out.get("format") not in _FORMATS:
        out.pop("format", None)
    _choose(out, schema, named, inside)
    _name_types(out)
    _name_values(out, schema)
    if "type" not in out and "anyOf" not in out:  # one without is refused; words can say anything
        out["type"] = "object" if "properties" in out else "array" if "items" in out else "string"
    return out


def _both(schema: Mapping[str, Any], part: Mapping[str, Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """`schema` and `part`, which hold together, as one."""
    part = named.get(str(part["$ref"]).rpartition("/")[2], {}) if "$ref" in part else part
    properties = {**part.get("properties", {}), **schema.get("properties", {})}
    required = list(dict.fromkeys([*schema.get("required", ()), *part.get("required", ())]))
    joined = {**part, **schema}
    return joined | ({"properties": properties} if properties else {}) | ({"required": required} if required else {})


def _choose(out: dict[str, Any], schema: Mapping[str, Any], named: Mapping[str, Any], inside: tuple[str, ...]) -> None:
    """One of several schemas, without null, which is a flag."""
    found = [part for key in ("anyOf", "oneOf") for part in schema.get(key, ())]
    choices = [part for part in found if part.get("type") != "null"]
    if len(choices) < len(found):
        out["nullable"] = True
    if len(choices) == 1:
        out |= {key: value for key, value in _converted(choices[0], named, inside).items() if key not in out}
    elif choices:
        out["anyOf"] = [_converted(part, named, inside) for part in choices]


def _name_types(out: dict[str, Any]) -> None:
    """A list of types as one type, a choice, and a flag."""
    if not isinstance(types := out.get("type"), list):
        return
    kinds = [kind for kind in types if kind != "null"]
    if len(kinds) < len(types):
        out["nullable"] = True
    del out["type"]
    if len(kinds) == 1:
        out["type"] = kinds[0]
    elif kinds:
        out["anyOf"] = [{"type": kind} for kind in kinds]


def _name_values(out: dict[str, Any], schema: Mapping[str, Any]) -> None:
    """The values to choose from: strings as an enum, others in words."""
    values = [schema["const"]] if "const" in schema else out.get("enum")
    if values is None:
        return
    strings = [value for value in values if isinstance(value, str)]
    if None in values:
        out["nullable"] = True
    if len(strings) == len([value for value in values if value is not None]) and out.get("type", "string") == "string":
        out |= {"type": "string", "enum": strings}
        return
    out.pop("enum", None)
    told = f"One of {', '.join(json.dumps(value) for value in values)}."
    out["description"] = f"{out['description']} {told}" if out.get("description") else told
