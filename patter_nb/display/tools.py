"""A tool as its signature and what it takes; a call of it as a card that says how it went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patter_nb.display.figures import duration
from patter_nb.display.markup import Html, compact_json, fold, foreign, join, left_out, line, tag
from patter_nb.tools.tool import Tool
from patter_nb.turns import ToolCall

__all__ = ["call_card", "call_text", "signature", "tool_page", "tool_text"]

_MOODS = {"running": "dim", "completed": "ok", "failed": "bad", "cancelled": "warn"}
_PARAMETERS_SHOWN = 40
_EXAMPLES_SHOWN = 12


def call_text(call: ToolCall) -> str:
    """One line: the call, how it went, and the result or error."""
    took = f" in {duration(call.duration_ms)}" if call.duration_ms is not None else ""
    end = f" → {line(call.error if call.error is not None else call.result or '', 200)}" if call.status != "running" else ""
    return f"{clean_name(call.name)}({line(_arguments(call), 200)}) {call.status}{took}{end}"


def call_card(call: ToolCall, *, room: int = 1500) -> Html:
    """The card; at most `room` bytes each of arguments, result and error."""
    head = [tag("b", foreign(call.name, 200)), " ", tag("span", call.status, cls=_MOODS[call.status])]
    if call.duration_ms is not None:
        head.append(tag("small", f" {duration(call.duration_ms)}"))
    rows = [tag("div", *head), tag("div", fold(_arguments(call), room))]
    if call.result is not None:
        rows.append(tag("div", "→ ", fold(call.result, room)))
    if call.error is not None:
        rows.append(tag("div", foreign(call.error, room), cls="bad" if call.status == "failed" else "warn"))
    return tag("div", *rows, cls="card")


def _arguments(call: ToolCall) -> str:
    return call.arguments if isinstance(call.arguments, str) else compact_json(dict(call.arguments))


def clean_name(name: str) -> str:
    """A tool's name as the model wrote it, on one line of plain text."""
    return line(name, 64)


def tool_text(tool: Tool) -> str:
    """Signature and description."""
    return f"{signature(tool)}\n    {line(tool.description, 400)}" if tool.description else signature(tool)


def signature(tool: Tool) -> str:
    """The tool as a function of its parameters.

    >>> signature(Tool("set_timer", handler=lambda minutes=5: minutes))
    'set_timer(minutes: integer = 5)'
    """
    shown = []
    for name, schema, required in list(_parameters(tool))[:_PARAMETERS_SHOWN]:
        default = f" = {compact_json(schema['default'])}" if "default" in schema else "" if required else " = ..."
        shown.append(f"{name}: {_kind(schema)}{default}")
    return line(f"{tool.name}({', '.join(shown)})", 1000)


def tool_page(tool: Tool) -> Html:
    """Signature, description, and a table of what it takes."""
    parameters = list(_parameters(tool))
    rows = [_row(*parameter) for parameter in parameters[:_PARAMETERS_SHOWN]]
    table = tag("table", tag("thead", tag("tr", *(tag("th", title) for title in ("argument", "type", "", "meaning")))), tag("tbody", *rows))
    said = [tag("li", foreign(text, 200), *([" → ", tag("code", foreign(compact_json(given), 200))] if given is not None else [])) for text, given in _examples(tool)]
    examples = [tag("details", tag("summary", "Examples"), tag("ul", *said[:_EXAMPLES_SHOWN]), left_out(len(said[_EXAMPLES_SHOWN:]), "examples"))]
    return join(
        tag("div", tag("b", "Tool "), tag("code", foreign(signature(tool), 2000))),
        tag("p", foreign(tool.description, 4000)),
        join(table, left_out(len(parameters[_PARAMETERS_SHOWN:]), "arguments")) if rows else tag("p", "Takes no arguments.", cls="dim"),
        *(examples if said else []),
        tag("p", f"May take {tool.timeout_s:g} s.", cls="dim") if tool.timeout_s is not None else "",
    )


def _row(name: str, schema: Mapping[str, Any], required: bool) -> Html:
    need = "required" if required else f"default {compact_json(schema['default'])}" if "default" in schema else "optional"
    cells = (tag("code", foreign(name, 100)), foreign(_kind(schema), 150), tag("small", foreign(need, 150)), foreign(str(schema.get("description", "")), 300))
    return tag("tr", *(tag("td", cell) for cell in cells))


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
            return " | ".join(compact_json(choice) for choice in choices)
        case {"const": value}:
            return compact_json(value)
        case {"anyOf": [*kinds]} | {"oneOf": [*kinds]}:
            return " | ".join(_kind(kind) for kind in kinds if isinstance(kind, Mapping))
        case {"type": "array", "items": Mapping() as items}:
            return f"list of {_kind(items)}"
        case {"type": [*kinds]}:
            return " | ".join(map(str, kinds))
        case {"type": str(kind)}:
            return kind
        case {"$ref": str(name)}:
            return name.rsplit("/", 1)[-1]
    return "any"
