"""A tool as its signature and what it takes; a call of it as a card that says how it went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patter_nb.display.figures import duration
from patter_nb.display.markup import Html, compact_json, fold, foreign, join, left_out, line, tag
from patter_nb.tools.tool import Tool
from patter_nb.turn import ToolCall

__all__ = ["call_card", "call_line", "call_text", "signature", "tool_page", "tool_text"]

_MOODS = {"running": "dim", "completed": "ok", "failed": "bad", "cancelled": "warn"}
_PARAMETERS_SHOWN = 40
_EXAMPLES_SHOWN = 12


def call_text(call: ToolCall, how: str | None = None) -> str:
    """One line: the call, how it went (`how`, where its status does not say), and the result or error."""
    took = f" in {duration(call.duration_ms)}" if call.duration_ms is not None else ""
    end = f" → {line(call.error if call.error is not None else call.result or '', 200)}" if call.status != "running" else ""
    return f"{line(call.name, 64)}({line(_arguments(call), 200)}) {how or call.status}{took}{end}"


def call_card(call: ToolCall, room: int = 1500, how: str | None = None) -> Html:
    """The card; at most `room` bytes each of arguments, result and error."""
    head = [tag("b", foreign(call.name, 200)), " ", _how(call, how)]
    rows = [tag("div", *head), tag("div", fold(_arguments(call), room))]
    if call.result is not None:
        rows.append(tag("div", fold(call.result, room, before="→ ")))
    if call.error is not None:
        rows.append(tag("div", foreign(call.error, room), cls="bad" if call.status == "failed" else "warn"))
    return tag("div", *rows, cls="card")


def call_line(call: ToolCall, room: int, how: str | None = None) -> Html:
    """The call as one of many: everything in a row, cut instead of folded."""
    row = [tag("b", foreign(call.name, 100)), " ", tag("code", foreign(_arguments(call), room)), " ", _how(call, how)]
    if call.status == "completed":
        row += [" → ", tag("code", foreign(call.result or "", room))]
    if call.error is not None:
        row += [": ", foreign(call.error, room)]
    return tag("div", *row, cls="card")


def _how(call: ToolCall, how: str | None) -> Html:
    took = tag("small", f" {duration(call.duration_ms)}") if call.duration_ms is not None else ""
    return join(tag("span", how or call.status, cls="warn" if how else _MOODS[call.status]), took)


def _arguments(call: ToolCall) -> str:
    return call.arguments if isinstance(call.arguments, str) else compact_json(dict(call.arguments))


def tool_text(tool: Tool) -> str:
    """Signature and description."""
    return f"{signature(tool)}\n    {line(tool.description, 400)}" if tool.description else signature(tool)


def signature(tool: Tool) -> str:
    """The tool as a function of its parameters.

    >>> signature(Tool("set_timer", handler=lambda minutes=5: minutes))
    'set_timer(minutes: integer = 5)'
    """
    shown = []
    for name, schema, required in _parameters(tool)[:_PARAMETERS_SHOWN]:
        default = compact_json(schema["default"]) if "default" in schema else "..."
        shown.append(f"{name}: {_kind(schema)}" + ("" if required else f" = {default}"))
    return line(f"{tool.name}({', '.join(shown)})", 1000)


def tool_page(tool: Tool) -> Html:
    """Signature, description, and a table of what it takes."""
    parameters = _parameters(tool)
    rows = [_row(*parameter) for parameter in parameters[:_PARAMETERS_SHOWN]]
    titles = tag("tr", *(tag("th", title) for title in ("argument", "type", "meaning")))
    table = tag("table", tag("thead", titles), tag("tbody", *rows))
    said = [_example(*example) for example in _examples(tool)]
    rest = left_out(len(said[_EXAMPLES_SHOWN:]), "examples")
    return join(
        tag("div", tag("b", "Tool "), tag("code", foreign(signature(tool), 2000))),
        tag("p", foreign(tool.description, 4000)) if tool.description else "",
        join(table, left_out(len(parameters[_PARAMETERS_SHOWN:]), "arguments")) if rows else tag("p", "Takes no arguments.", cls="dim"),
        tag("details", tag("summary", "Examples"), tag("ul", *said[:_EXAMPLES_SHOWN]), rest) if said else "",
        tag("p", f"May take {tool.timeout_s:g} s.", cls="dim") if tool.timeout_s is not None else "",
    )


def _row(name: str, schema: Mapping[str, Any], required: bool) -> Html:
    need = f"default {compact_json(schema['default'])}" if "default" in schema else "required" if required else "optional"
    meaning = foreign(str(schema.get("description", "")), 300)
    cells = (tag("code", foreign(name, 100)), join(foreign(_kind(schema), 150), " ", tag("small", foreign(need, 150))), meaning)
    return tag("tr", *(tag("td", cell) for cell in cells))


def _example(said: str, arguments: Mapping[str, Any] | None) -> Html:
    given = [" → ", tag("code", foreign(compact_json(dict(arguments)), 200))] if arguments is not None else []
    return tag("li", foreign(said, 200), *given)


def _parameters(tool: Tool) -> list[tuple[str, Mapping[str, Any], bool]]:
    schema = tool.parameters or {}
    required = schema.get("required", ())
    return [(str(name), each if isinstance(each, Mapping) else {}, name in required) for name, each in schema.get("properties", {}).items()]


def _examples(tool: Tool) -> list[tuple[str, Mapping[str, Any] | None]]:
    return [(example, None) if isinstance(example, str) else (example[0], example[1]) for example in tool.examples]


def _kind(schema: Mapping[str, Any]) -> str:
    """A JSON schema's type in a few words."""
    match schema:
        case {"enum": [*choices]}:
            words = [compact_json(choice) for choice in choices]
        case {"const": value}:
            words = [compact_json(value)]
        case {"anyOf": [*kinds]} | {"oneOf": [*kinds]}:
            words = [_kind(kind) for kind in kinds if isinstance(kind, Mapping)]
        case {"type": "array", "items": Mapping() as items}:
            words = [f"list of {_kind(items)}"]
        case {"type": [*kinds]}:
            words = [str(kind) for kind in kinds]
        case {"type": str(kind)}:
            words = [kind]
        case {"$ref": str(name)}:
            words = [name.rsplit("/", 1)[-1]]
        case _:
            words = ["any"]
    return " | ".join(words)
