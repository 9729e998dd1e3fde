"""A tool's schema for Gemini: nothing that it refuses, and nothing lost that a schema says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from patter_nb.llm.gemini.parts import Growing
from patter_nb.llm.gemini.schema import gemini_schema
from patter_nb.tools.tool import tool

STRING = {"type": "string"}
REFUSED = {"$schema", "$ref", "$defs", "definitions", "additionalProperties", "oneOf", "allOf", "const", "not", "if", "patternProperties"}


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Place(TypedDict):
    city: str
    title: str | None


@dataclass
class Stop:
    place: Place
    nights: int = 1


class Trip(BaseModel):
    stops: list[Stop]
    after: Trip | None = None
    pay: Literal["card", "cash"] | int = "card"


def properties_of(schema: dict[str, Any]) -> set[str]:
    """Every name that is one of a property, and that no keyword stands where it is refused."""
    assert not REFUSED & schema.keys(), schema
    names = set(schema.get("properties", {}))
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else [])]
    return names.union(*map(properties_of, inner)) if inner else names


def test_row_09_every_property_survives_whatever_it_is_called() -> None:
    names = ["city", "title", "enum", "type", "properties", "required", "format", "additionalProperties"]
    schema = {"type": "object", "properties": {name: {"type": "string", "title": "T"} for name in names}, "additionalProperties": False}
    told = gemini_schema({**schema, "$schema": "https://json-schema.org/draft/2020-12/schema", "required": names})
    assert list(told["properties"]) == names
    assert told["required"] == names


def test_what_python_types_say_is_said() -> None:
    @tool
    def plan(trip: Trip, colour: Colour, days: Annotated[int, Field(ge=1, le=9)] = 2, notes: str | None = None) -> str:
        """Plan a trip."""
        return ""

    schema = gemini_schema(dict(plan.parameters or {}))
    assert {"trip", "colour", "days", "notes", "stops", "after", "pay", "place", "nights", "city", "title"} <= properties_of(schema)
    assert schema["properties"]["colour"]["enum"] == ["red", "blue"]
    assert (schema["properties"]["days"]["minimum"], schema["properties"]["days"]["maximum"]) == (1, 9)


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": ["string", "null"]}, {"type": "string", "nullable": True}),
        ({"type": ["string", "integer"]}, {"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"type": "integer", "nullable": True}),
        ({"oneOf": [{"type": "integer"}, {"type": "string"}]}, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        ({"const": "a"}, {"type": "string", "enum": ["a"]}),
        ({"enum": [1, 2], "type": "integer"}, {"type": "integer", "description": "One of 1, 2."}),
        ({"enum": ["a", None]}, {"type": "string", "enum": ["a"], "nullable": True}),
        ({"type": "string", "format": "email", "description": "Mail."}, {"type": "string", "description": "Mail."}),
        ({"type": "array"}, {"type": "array", "items": {"type": "string"}}),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"type": "integer", "minimum": 2}}}, {"type": "integer", "minimum": 2}),
        (
            {"allOf": [{"type": "object", "properties": {"a": STRING}, "required": ["a"]}], "properties": {"b": STRING}},
            {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["a"]},
        ),
    ],
)
def test_what_gemini_has_no_word_for_is_said_otherwise(schema: dict[str, Any], told: dict[str, Any]) -> None:
    assert gemini_schema(schema) == told


def test_a_schema_that_holds_itself_ends() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}, "name": {"type": "string"}}}
    schema = gemini_schema({"$ref": "#/$defs/Node", "$defs": {"Node": node}})
    assert schema["properties"]["next"] == {"type": "object"}


def test_a_call_in_pieces_grows_by_path() -> None:
    growing = Growing()
    growing.take("book", "c1", None, [{"jsonPath": "$.city", "stringValue": "Ro"}], None)
    growing.take(None, None, None, [{"jsonPath": "$.city", "stringValue": "me"}, {"jsonPath": "$.days[1].n", "numberValue": 2}], "c2ln")
    last = [{"jsonPath": "$.days[0]['at night']", "boolValue": True}, {"jsonPath": "$.none", "nullValue": None}]
    growing.take(None, None, None, last, None)
    assert (growing.name, growing.id, growing.signature) == ("book", "c1", "c2ln")
    assert growing.arguments == {"city": "Rome", "days": [{"at night": True}, {"n": 2}], "none": None}
