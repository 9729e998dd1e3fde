"""A function as a tool: its signature as a JSON schema for the language model, and the model's arguments as a call of the function.

pydantic reads the type hints, and coerces and checks the values; it is imported when the first tool is built.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from patter_nb.errors import PatterConfigError
from patter_nb.tools.schema import Check, JsonSchema, plain_schema, schema_check, unfit

if TYPE_CHECKING:
    from docstring_parser import Docstring
    from pydantic import BaseModel

    from patter_nb.llm.base import Message

_LEGACY = ("arguments", "call_context")


class DerivedSchema(dict[str, Any]):
    """A schema read from type hints, told apart from one written by hand so that a copied tool is read from its hints again."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may know of the conversation. A handler's parameter named `ctx`, or annotated with this class, receives it.

    `call_id` names the session, `history` is the conversation so far as OpenAI-shaped messages, `variables` the agent's.
    """

    call_id: str | None = None
    history: tuple[Message, ...] = field(default=(), repr=False)
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Handler:
    """A tool's function with what it takes: `schema` for the model, `bind` for what the model sends.

    `check` gives the values by parameter name. `context` names the parameters that receive the `ToolContext`. `is_async` False
    means that calling the function may block.
    """

    function: Callable[..., Any]
    is_async: bool
    signature: inspect.Signature
    context: tuple[str, ...]
    schema: JsonSchema
    check: Check

    def bind(self, arguments: Mapping[str, Any], ctx: ToolContext) -> Callable[[], Any]:
        """The call of the function with `arguments`, checked and coerced. Raises `ToolCallError` (invalid_arguments)."""
        values = self.check(arguments) | dict.fromkeys(self.context, ctx)
        bound = inspect.BoundArguments(self.signature, values)
        return functools.partial(self.function, *bound.args, **bound.kwargs)


def describe(name: str, function: Callable[..., Any], schema: Mapping[str, Any] | None = None) -> Handler:
    """The handler of the tool `name`; `schema`, where it is written by hand, goes before the type hints.

    A function of literally (arguments, call_context) receives the arguments as one dict. Raises `PatterConfigError` for a
    signature that no schema can describe, a bad schema, and a schema that the function does not agree with.
    """
    signature = _signature(name, function)
    parameters = tuple(signature.parameters.values())
    make = functools.partial(Handler, function, _is_async(function), signature)
    if tuple(signature.parameters) == _LEGACY:
        by_hand = {"type": "object", "properties": {}} if schema is None else dict(schema)
        check_dict = schema_check(name, by_hand)
        return make(_LEGACY[1:], by_hand, lambda arguments: {_LEGACY[0]: check_dict(arguments)})
    context = tuple(p.name for p in parameters if p.name == "ctx" or _is_context(p.annotation))
    taken = [p for p in parameters if p.name not in context]
    if schema is not None and not isinstance(schema, DerivedSchema):
        by_hand = dict(schema)
        return make(context, by_hand, _spread(name, by_hand, taken))
    model = _arguments_model(name, function, taken)
    derived = _derived_schema(name, function, model)
    return make(context, derived, _model_check(name, model, derived))


def summary(function: Callable[..., Any]) -> str:
    """The first paragraph of the docstring, on one line."""
    return _one_line((_docstring(function).description or "").split("\n\n")[0])


def _signature(name: str, function: Callable[..., Any]) -> inspect.Signature:
    try:
        signature = inspect.signature(function, eval_str=True)
    except Exception as error:  # annotations are the user's code
        raise PatterConfigError(
            f"The signature of the tool {name} cannot be read: {error}.",
            hint="Define or import the types of its annotations at module level and outside TYPE_CHECKING, before the tool.",
        ) from error
    if next(iter(signature.parameters), None) in ("self", "cls"):
        raise PatterConfigError(f"The tool {name} is a method without its object.", hint="Take the bound method: tool(thing.method).")
    if any(inspect.isgeneratorfunction(one) or inspect.isasyncgenfunction(one) for one in _called(function)):
        raise PatterConfigError(f"The tool {name} is a generator.", hint="Return its result, all of it: a list, say.")
    return signature


def _is_async(function: Callable[..., Any]) -> bool:
    return any(map(inspect.iscoroutinefunction, _called(function)))


def _called(function: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What may run when `function` is called: itself, or its own method where it is an object."""
    return function, type(function).__call__


def _is_context(annotation: object) -> bool:
    return annotation is ToolContext or ToolContext in get_args(annotation)


def _docstring(function: Callable[..., Any]) -> Docstring:
    from docstring_parser import parse

    while isinstance(function, functools.partial):
        function = function.func
    return parse(inspect.getdoc(function) or "")


def _one_line(text: str) -> str:
    return " ".join(text.split())


# --- from type hints


def _arguments_model(name: str, function: Callable[..., Any], parameters: Iterable[inspect.Parameter]) -> type[BaseModel]:
    """One pydantic field for each parameter, which is its alias: pydantic refuses fields named `_city` and warns of `json` or `copy`."""
    from pydantic import ConfigDict, Field, create_model
    from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

    members: dict[str, Any] = {}
    for index, parameter in enumerate(parameters):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise PatterConfigError(
                f"The tool {name} takes {parameter}, which no schema can describe.",
                hint="Name its parameters one by one, or take one list or dict; or pass parameters= with a JSON schema.",
            )
        default = Field() if parameter.default is parameter.empty else parameter.default
        members[f"p{index}"] = (Annotated[_hint(parameter), Field(alias=parameter.name)], default)
    config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)
    try:
        return create_model(name, __config__=config, __module__=getattr(function, "__module__", None) or __name__, **members)
    except (PydanticUserError, PydanticUndefinedAnnotation, TypeError, ValueError, RecursionError) as error:
        raise _undescribable(name, error) from error


def _hint(parameter: inspect.Parameter) -> Any:
    """The parameter's type. One that is not annotated has the type of its default, or is text."""
    if parameter.annotation is not parameter.empty:
        return _portable(parameter.annotation)
    if type(parameter.default) in (bool, int, float):
        return type(parameter.default)
    return str | None if parameter.default is None else str


def _portable(hint: Any) -> Any:
    """`hint` with each `typing.TypedDict` as one of typing_extensions: pydantic refuses the former before Python 3.12."""
    if sys.version_info >= (3, 12):
        return hint
    if typing.is_typeddict(hint) and type(hint).__module__ == "typing":
        return _portable_typed_dict(hint)
    origin, parts = get_origin(hint), get_args(hint)
    made = tuple(_portable(part) for part in parts)
    if made == parts:
        return hint
    if origin is Annotated:
        return Annotated[made]
    return typing.Union[made] if origin is types.UnionType else origin[made]  # noqa: UP007  # of a tuple


def _portable_typed_dict(hint: Any) -> Any:
    from typing_extensions import TypedDict

    keys: dict[str, Any] = {}
    for key, kind in typing.get_type_hints(hint, include_extras=True).items():
        bare = _portable(get_args(kind)[0] if get_origin(kind) in (typing.Required, typing.NotRequired) else kind)
        keys[key] = bare if key in hint.__required_keys__ else typing.NotRequired[bare]
    made: Any = TypedDict(hint.__name__, keys)  # type: ignore[misc]  # built at run time
    made.__doc__ = hint.__doc__
    return made


def _derived_schema(name: str, function: Callable[..., Any], model: type[BaseModel]) -> DerivedSchema:
    """The model's schema, each parameter described by its own `Field`, else by the docstring, else by its type."""
    from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
    from pydantic.json_schema import GenerateJsonSchema

    class Quiet(GenerateJsonSchema):
        def emit_warning(self, kind: str, detail: str) -> None:
            """A default that JSON cannot express is left out of the schema, and still used."""

    try:
        schema = DerivedSchema(plain_schema(model.model_json_schema(schema_generator=Quiet)))
    except (PydanticUserError, PydanticUndefinedAnnotation, RecursionError) as error:
        raise _undescribable(name, error) from error
    said = {parameter.arg_name: parameter.description for parameter in _docstring(function).params}
    for member in model.model_fields.values():
        if member.description is None and (text := said.get(member.alias or "")):
            schema["properties"][member.alias]["description"] = _one_line(text)
    return schema


def _model_check(name: str, model: type[BaseModel], schema: JsonSchema) -> Check:
    from pydantic import ValidationError

    names = {key: member.alias or key for key, member in model.model_fields.items()}

    def check(arguments: Mapping[str, Any]) -> dict[str, Any]:
        try:
            values = model.model_validate(dict(arguments))
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            raise unfit(name, schema, ((item["loc"], item["msg"]) for item in found)) from error
        return {names[key]: value for key, value in values}

    return check


def _undescribable(name: str, error: Exception) -> PatterConfigError:
    return PatterConfigError(
        f"The parameters of the tool {name} have a type that no model can be told of: {str(error).splitlines()[0]}",
        hint="Use text, numbers, lists, dicts, Literal, Enum, dataclasses, TypedDict or pydantic models; or pass parameters=.",
    )


# --- from a schema written by hand


def _spread(name: str, schema: JsonSchema, parameters: Iterable[inspect.Parameter]) -> Check:
    """Checked values as those of the function's `parameters`, which have to agree with the schema; `**kwargs` takes what is left."""
    check_schema = schema_check(name, schema)
    rest = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
    named = {p.name: p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    unfilled = [key for key, p in named.items() if p.default is p.empty and key not in schema.get("required", ())]
    untaken = [key for key in schema.get("properties", {}) if key not in named and rest is None]
    if unfilled or untaken:
        raise PatterConfigError(
            f"The function of the tool {name} and its parameters= do not agree on {', '.join(unfilled + untaken)}.",
            hint="Each property needs a parameter of its name (or **kwargs), each parameter a default or a place in required.",
        )

    def check(arguments: Mapping[str, Any]) -> dict[str, Any]:
        values = check_schema(arguments)
        left = {key: values.pop(key) for key in list(values) if key not in named}
        if rest is not None:
            return values | {rest: left}
        if left:
            raise unfit(name, schema, (((key,), "There is no such argument") for key in left))
        return values

    return check
