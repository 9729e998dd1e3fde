"""Type hints and docstrings become a schema; a model's arguments become the function's values, or errors that it can act on."""

import datetime as dt
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest
from pydantic import BaseModel, Field

from patter_nb.errors import PatterConfigError
from patter_nb.tools import Tool, ToolContext, tool
from patter_nb.tools.outcome import FieldError, ToolCallError


class Room(Enum):
    KITCHEN = "kitchen"
    BATH = "bath"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Point:
    x: float
    y: float = 0.0


@dataclass
class Route:
    start: Point
    stops: list[Point] = field(default_factory=list)


@dataclass
class Node:
    value: int
    next: "Node | None" = None


class Order(TypedDict):
    dish: str
    count: NotRequired[int]


class Person(BaseModel):
    title: str = Field(description="Form of address")
    age: int | None = None


NOTHING = object()


def properties(function: Callable[..., Any]) -> dict[str, Any]:
    found: dict[str, Any] = Tool("probe", handler=function).spec()["function"]["parameters"]["properties"]
    return found


def without_closing(schema: Any) -> Any:
    """`schema` without additionalProperties: False inside it, which only newer versions of pydantic say of nested types."""
    if isinstance(schema, list):
        return [without_closing(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: without_closing(part) for key, part in schema.items() if (key, part) != ("additionalProperties", False)}


def called(function: Callable[..., Any], **arguments: Any) -> Any:
    return Tool("probe", handler=function).bind(arguments, ToolContext(call_id="c1"))()


def refused(function: Callable[..., Any], **arguments: Any) -> ToolCallError:
    with pytest.raises(ToolCallError) as raised:
        called(function, **arguments)
    assert raised.value.code == "invalid_arguments"
    return raised.value


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (str, {"type": "string"}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (list, {"type": "array", "items": {}}),
        (dict, {"type": "object"}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (int | str, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (Room, {"type": "string", "enum": ["kitchen", "bath"]}),
        (dt.date, {"type": "string", "format": "date"}),
        (Annotated[int, Field(ge=1, description="How many")], {"type": "integer", "minimum": 1, "description": "How many"}),
        (Any, {}),
        (
            Order,
            {
                "type": "object",
                "properties": {"dish": {"type": "string"}, "count": {"type": "integer"}},
                "required": ["dish"],
            },
        ),
    ],
)
def test_schema_of_a_hint(hint: Any, schema: dict[str, Any]) -> None:
    def probe(value: hint) -> None: ...

    assert without_closing(properties(probe)["value"]) == schema


def test_nested_types_are_inlined_without_titles() -> None:
    def plan(route: Route, people: list[Person]) -> None: ...

    point = {
        "type": "object",
        "properties": {"x": {"type": "number"}, "y": {"type": "number", "default": 0.0}},
        "required": ["x"],
    }
    made = without_closing(properties(plan))
    assert made["route"]["properties"] == {"start": point, "stops": {"type": "array", "items": point}}
    assert made["people"]["items"]["properties"] == {
        "title": {"type": "string", "description": "Form of address"},  # a property named title is no noise
        "age": {"type": "integer"},
    }
    assert "$" not in json.dumps(made)


def test_a_recursive_type_keeps_its_reference() -> None:
    def walk(node: Node) -> int:
        return node.next.value if node.next else node.value

    parameters = Tool("walk", handler=walk).spec()["function"]["parameters"]
    assert parameters["properties"] == {"node": {"$ref": "#/$defs/Node"}}
    assert parameters["$defs"]["Node"]["properties"]["next"] == {"$ref": "#/$defs/Node"}
    assert called(walk, node={"value": 1, "next": {"value": "2"}}) == 2


def test_a_default_makes_a_parameter_optional_and_stands_in_the_schema() -> None:
    def probe(a: int, b: Room = Room.BATH, c: str | None = None, d: object = NOTHING, e: Annotated[int, Field(default=4)] = 4) -> Any:
        return a, b, c, d is NOTHING, e

    parameters = Tool("probe", handler=probe).spec()["function"]["parameters"]
    assert parameters["required"] == ["a"]
    assert parameters["properties"]["b"] == {"type": "string", "enum": ["kitchen", "bath"], "default": "bath"}
    assert parameters["properties"]["c"] == {"type": "string"}
    assert called(probe, a=1) == (1, Room.BATH, None, True, 4)
    assert called(probe, a=1, c=None)[2] is None


def test_an_optional_parameter_without_default_is_required() -> None:
    def probe(unit: str | None) -> None: ...

    assert Tool("probe", handler=probe).spec()["function"]["parameters"]["required"] == ["unit"]
    assert called(probe, unit=None) is None
    assert [error.field for error in refused(probe).validation_errors] == ["unit"]


def test_without_annotation_a_parameter_is_text_or_has_the_type_of_its_default() -> None:
    def probe(city, days=3, loud=False, unit=None):  # type: ignore[no-untyped-def]
        return city, days, loud, unit

    kinds = {key: item["type"] for key, item in properties(probe).items()}
    assert kinds == {"city": "string", "days": "integer", "loud": "boolean", "unit": "string"}
    assert called(probe, city="Rome", days="5") == ("Rome", 5, False, None)


def test_names_that_pydantic_would_not_take_are_fine() -> None:
    def probe(_hidden: int, json: str, copy: str, model_config: str, p0: str, self_: int = 0) -> Any:
        return _hidden, json, copy, model_config, p0

    arguments = {"_hidden": 1, "json": "j", "copy": "c", "model_config": "m", "p0": "p"}
    assert called(probe, **arguments) == (1, "j", "c", "m", "p")


def test_values_arrive_as_the_types_that_the_function_asked_for() -> None:
    def probe(n: int, x: float, room: Room, level: Level, at: Point, when: dt.datetime, order: Order, who: Person, zip_code: str) -> Any:
        return n, x, room, level, at, when, order, who, zip_code

    got = called(
        probe,
        n="10",
        x="2.5",
        room="bath",
        level=2,
        at={"x": "1", "y": 2},
        when="2026-01-02T03:04:05Z",
        order={"dish": "soup"},
        who={"title": "Dr."},
        zip_code=90210,
    )
    assert got == (
        10,
        2.5,
        Room.BATH,
        Level.HIGH,
        Point(1, 2),
        dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
        {"dish": "soup"},
        Person(title="Dr."),
        "90210",
    )
    assert type(got[3]) is Level


def test_errors_name_field_problem_and_what_is_allowed() -> None:
    def probe(minutes: int, room: Room, route: Route) -> None: ...

    error = refused(probe, minutes="soon", route={"start": {"x": 1}, "stops": [{"x": "far"}]}, speed=3)
    found = {item.field: item for item in error.validation_errors}
    assert set(found) == {"minutes", "room", "route.stops.0.x", "speed"}
    assert found["minutes"].allowed == {"type": "integer"}
    assert found["room"] == FieldError("room", "Field required", {"type": "string", "enum": ["kitchen", "bath"]})
    assert found["route.stops.0.x"].allowed == {"type": "number"}
    assert found["speed"].allowed == ["minutes", "room", "route"]
    assert "minutes: Input should be a valid integer" in str(error)


def test_annotations_may_be_text() -> None:
    def probe(room: "Room", days: "list[int] | None" = None, about: "ToolContext | None" = None) -> "Any":
        return room, days, about is not None

    assert list(properties(probe)) == ["room", "days"]
    assert called(probe, room="bath", days=["1"]) == (Room.BATH, [1], True)


def test_positional_only_keyword_only_and_context_parameters_are_filled_as_declared() -> None:
    def probe(a: int, ctx: ToolContext, /, b: int = 2, *, c: int = 3, about: ToolContext | None = None) -> Any:
        return a, b, c, ctx.call_id, about is ctx

    assert list(properties(probe)) == ["a", "b", "c"]
    assert called(probe, a=1, c=5) == (1, 2, 5, "c1", True)


def test_a_parameter_named_ctx_is_filled_in_without_annotation() -> None:
    def probe(city, ctx):  # type: ignore[no-untyped-def]
        return city, ctx.call_id

    assert list(properties(probe)) == ["city"]
    assert called(probe, city="Rome") == ("Rome", "c1")
    assert refused(probe, city="Rome", ctx="mine").validation_errors[0].field == "ctx"


def test_self_of_a_bound_method_does_not_leak() -> None:
    class Home:
        def dim(self, room: str) -> str:
            return room

    assert list(properties(Home().dim)) == ["room"]
    with pytest.raises(PatterConfigError, match="bound method"):
        tool(Home.dim)


@pytest.mark.parametrize("function", [lambda *args: args, lambda **kwargs: kwargs])
def test_star_parameters_are_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(PatterConfigError, match=r"\*kw|\*ar") as raised:
        Tool("star", handler=function)
    assert "one by one" in str(raised.value)


def test_an_async_generator_is_refused() -> None:
    async def steps() -> AsyncIterator[int]:
        yield 1

    class Steps:
        async def __call__(self) -> AsyncIterator[int]:
            yield 1

    for handler in (steps, Steps()):
        with pytest.raises(PatterConfigError, match="is a generator"):
            Tool("probe", handler=handler)


def test_a_plain_generator_is_refused() -> None:
    def count(to: int) -> Iterator[int]:
        yield from range(to)

    with pytest.raises(PatterConfigError, match="generator") as raised:
        tool(count)
    assert raised.value.hint


def test_types_that_no_model_can_be_told_of_are_refused() -> None:
    class Engine: ...

    def probe(engine: Engine) -> None: ...

    def call(back: Callable[[int], int]) -> None: ...

    def later(engine: "Missing") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    for function in (probe, call, later):
        with pytest.raises(PatterConfigError) as raised:
            tool(function)
        assert raised.value.hint
        assert raised.value.__cause__ is not None


# --- docstrings


def google(city: str, days: int = 1) -> None:
    """Look up the weather.

    Long story.

    Args:
        city (str): Where to look,
            by name.
        days: How many days: 1 to 7.

    Returns:
        Nothing.
    """


def numpy_style(city: str, days: int = 1) -> None:
    """Look up the weather.

    Parameters
    ----------
    city : str
        Where to look,
        by name.
    days : int, optional
        How many days: 1 to 7.
    """


def sphinx(city: str, days: int = 1) -> None:
    """Look up the weather.

    :param city: Where to look,
        by name.
    :param int days: How many days: 1 to 7.
    :returns: Nothing.
    """


@pytest.mark.parametrize("function", [google, numpy_style, sphinx])
def test_docstrings_describe_the_tool_and_its_parameters(function: Callable[..., Any]) -> None:
    made = tool(function)
    assert made.description == "Look up the weather."
    said = {key: item["description"] for key, item in properties(function).items()}
    assert said == {"city": "Where to look, by name.", "days": "How many days: 1 to 7."}


def test_a_fields_own_description_goes_before_the_docstring_and_that_before_the_types() -> None:
    class Mood(Enum):
        """A mood."""

        GOOD = "good"

    def probe(city: Annotated[str, Field(description="Own words")], mood: Mood, other: Mood) -> None:
        """Probe.

        Args:
            city: The docstring's words.
            mood: How it goes.
        """

    said = {key: item["description"] for key, item in properties(probe).items()}
    assert said == {"city": "Own words", "mood": "How it goes.", "other": "A mood."}


@pytest.mark.parametrize("text", [None, "", ":param", ":param a b c d:", "Args:\n", "Parameters\n---", "\n\n  \n"])
def test_no_docstring_is_too_odd(text: str | None) -> None:
    def probe(city: str) -> None: ...

    probe.__doc__ = text
    assert properties(probe)["city"]["type"] == "string"


# --- schemas written by hand

CITY = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "maximum": 7}}, "required": ["city"]}


def by_hand(handler: Callable[..., Any], schema: dict[str, Any] = CITY) -> Tool:
    return Tool("weather", parameters=schema, handler=handler)


def test_a_schema_written_by_hand_is_told_as_it_is() -> None:
    made = by_hand(lambda city, days=1: (city, days))
    assert made.spec()["function"]["parameters"] == CITY
    assert made.bind({"city": "Rome"}, ToolContext())() == ("Rome", 1)


def test_a_schema_written_by_hand_is_not_changed_with_its_dict() -> None:
    schema = json.loads(json.dumps(CITY))
    made = by_hand(lambda city, days=1: city, schema)
    schema["properties"].clear()
    assert made.parameters == CITY


def test_a_schema_written_by_hand_checks_and_names_every_error() -> None:
    made = by_hand(lambda city, days=1: city)
    with pytest.raises(ToolCallError) as raised:
        made.bind({"days": 9}, ToolContext())
    assert raised.value.validation_errors == (
        FieldError("city", "'city' is a required property", {"type": "string"}),
        FieldError("days", "9 is greater than the maximum of 7", {"type": "integer", "maximum": 7}),
    )


def test_arguments_beyond_a_schema_go_to_kwargs_or_are_refused() -> None:
    assert by_hand(lambda city, **rest: (city, rest)).bind({"city": "Rome", "mood": 1}, ToolContext())() == ("Rome", {"mood": 1})
    with pytest.raises(ToolCallError, match="mood"):
        by_hand(lambda city, days=1: city).bind({"city": "Rome", "mood": 1}, ToolContext())


@pytest.mark.parametrize("handler", [lambda city: city, lambda city, days: city, lambda city, days=1, *, mood: city])
def test_a_function_that_does_not_agree_with_its_schema_is_refused(handler: Callable[..., Any]) -> None:
    with pytest.raises(PatterConfigError, match="do not agree on"):
        by_hand(handler)


def test_a_remote_reference_is_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr("urllib.request.urlopen", lambda *args, **kwargs: asked.append(args))
    made = by_hand(
        lambda city: city, {"type": "object", "properties": {"city": {"$ref": "http://example.invalid/city"}}, "required": ["city"]}
    )
    with pytest.raises(Exception, match=r"example\.invalid"):
        made.bind({"city": "Rome"}, ToolContext())
    assert asked == []


def test_the_older_convention_of_arguments_and_call_context() -> None:
    def weather(arguments: dict[str, Any], call_context: Any) -> Any:
        return arguments, call_context.call_id

    assert called(weather, city="Rome") == ({"city": "Rome"}, "c1")
    assert properties(weather) == {}
    made = by_hand(weather)
    assert made.bind({"city": "Rome"}, ToolContext(call_id="c2"))() == ({"city": "Rome"}, "c2")
    with pytest.raises(ToolCallError, match="city"):
        made.bind({}, ToolContext())
