"""The JSON schemas that say what a tool takes: brought into a plain form that every model reads, and checked against what a model sent.

A schema written by hand is checked by jsonschema, imported when the first such tool is built. It was chosen over fastjsonschema
because it knows the current dialect (2020-12, which MCP servers use), names every error at once, and runs no generated code.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from patter_nb.errors import PatterConfigError
from patter_nb.tools.outcome import FieldError, ToolCallError

JsonSchema: TypeAlias = dict[str, Any]
Check: TypeAlias = Callable[[Mapping[str, Any]], dict[str, Any]]
"""From a model's arguments to checked values; raises `ToolCallError` (invalid_arguments)."""
Path: TypeAlias = tuple[str | int, ...]

_LONGEST_PROBLEM = 300
_DATA = frozenset(("default", "const", "enum", "examples", "required"))
_NOISE = frozenset(("title", "discriminator", "$defs"))


def plain_schema(schema: JsonSchema) -> JsonSchema:
    """An object schema of pydantic's as small models and every vendor read it: no titles, and what is not recursive in one piece.

    >>> plain_schema({"properties": {"n": {"title": "N", "type": "integer"}}, "required": ["n"], "title": "T", "type": "object"})
    {'type': 'object', 'properties': {'n': {'type': 'integer'}}, 'required': ['n']}
    """
    definitions = schema.get("$defs", {})
    recursive = {key for key in definitions if key in _reachable(definitions[key], definitions)}
    tidy = functools.partial(_tidy, inline={key: item for key, item in definitions.items() if key not in recursive})
    plain: JsonSchema = {"type": "object", "properties": {}} | tidy(schema)
    if recursive:
        plain["$defs"] = {key: tidy(definitions[key]) for key in definitions if key in recursive}
    return plain


def _reachable(node: object, definitions: JsonSchema, seen: frozenset[str] = frozenset()) -> set[str]:
    """The names of all definitions that `node` refers to, also by way of others."""
    found: set[str] = set()
    for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        found |= _reachable(part, definitions, seen)
    if isinstance(node, dict) and (key := _reference(node)) in definitions and key not in seen:
        found |= {key} | _reachable(definitions[key], definitions, seen | {key})
    return found


def _reference(node: JsonSchema) -> str:
    return str(node.get("$ref", "")).removeprefix("#/$defs/")


def _tidy(node: Any, *, inline: JsonSchema, is_map: bool = False) -> Any:
    """`node` in the plain form that small models and every vendor read: references replaced by what they name, no titles, and
    "X or null" as X where leaving it out means null. `is_map` says that its keys are names, not keywords."""
    if isinstance(node, list):
        return [_tidy(part, inline=inline) for part in node]
    if not isinstance(node, dict):
        return node
    if is_map:
        return {key: _tidy(part, inline=inline) for key, part in node.items()}
    if (target := _reference(node)) in inline:
        node = {**inline[target], **{key: part for key, part in node.items() if key != "$ref"}}
        return _tidy(node, inline=inline)
    out = {
        key: part if key in _DATA else _tidy(part, inline=inline, is_map=key in ("properties", "patternProperties"))
        for key, part in node.items()
        if key not in _NOISE and (key, part) != ("additionalProperties", True)
    }
    match out:
        case {"default": None, "anyOf": [dict(kind), {"type": "null"}]}:
            return kind | {key: part for key, part in out.items() if key not in ("default", "anyOf")}
    return out


def schema_check(name: str, schema: JsonSchema) -> Check:
    """What checks the arguments of the tool `name` against a schema written by hand. Raises `PatterConfigError` for a bad schema."""
    from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped]
    from jsonschema.validators import Draft202012Validator, validator_for  # type: ignore[import-untyped]
    from referencing import Registry

    remedy = 'Pass a JSON schema such as {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}.'
    dialect = validator_for(schema, default=Draft202012Validator)
    try:
        dialect.check_schema(schema)
    except SchemaError as error:
        raise PatterConfigError(f"The parameters of the tool {name} are no JSON schema: {error.message}.", hint=remedy) from error
    properties = schema.get("properties", {})
    if schema.get("type") != "object":
        raise PatterConfigError(f'The parameters of the tool {name} have no "type": "object".', hint=remedy)
    if undeclared := [key for key in schema.get("required", ()) if key not in properties]:
        raise PatterConfigError(f"The parameters of the tool {name} require {', '.join(undeclared)}, no property.", hint=remedy)
    checker = dialect(schema, registry=Registry())  # the default one would fetch a remote $ref

    def check(arguments: Mapping[str, Any]) -> dict[str, Any]:
        values = dict(arguments)
        if found := sorted(checker.iter_errors(values), key=lambda error: [str(step) for step in error.absolute_path]):
            raise unfit(name, schema, ((_path(error), error.message) for error in found))
        return values

    return check


def _path(error: Any) -> Path:
    """Where a jsonschema error belongs. One about a missing property names it only in its message."""
    missing = (key for key in error.validator_value if error.message.startswith(repr(key))) if error.validator == "required" else ()
    return (*error.absolute_path, *missing)


def unfit(name: str, schema: JsonSchema, found: Iterable[tuple[Path, str]]) -> ToolCallError:
    """The error for arguments of the tool `name`: where, and what is wrong there."""
    errors = tuple(FieldError(".".join(map(str, path)), problem[:_LONGEST_PROBLEM], _allowed(schema, path)) for path, problem in found)
    told = "; ".join(f"{error.field or 'arguments'}: {error.problem}" for error in errors)
    return ToolCallError(
        f"The arguments of {name} do not fit: {told}.",
        code="invalid_arguments",
        hint="Correct them and call the tool again.",
        validation_errors=errors,
    )


def _allowed(schema: JsonSchema, path: Path) -> object:
    """The part of the schema at `path`, as far as it leads; the known names where it ends at a name that is none of them."""
    for step in path:
        properties = schema.get("properties")
        inner = properties.get(step) if isinstance(properties, dict) else schema.get("items")
        if inner is None and isinstance(properties, dict):
            return list(properties)
        if not isinstance(inner, dict):
            break
        schema = inner
    return schema
