"""How a tool call ends: in a text that the language model reads, or in one kind of error that tells the model what to do about it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from enum import Enum
from typing import Literal, TypeAlias

from patter_nb.errors import ToolError

ToolErrorCode: TypeAlias = Literal["unknown_tool", "invalid_arguments", "failed", "timeout", "result_too_large", "circuit_open", "blocked"]


@dataclass(frozen=True, slots=True)
class FieldError:
    """One argument that does not fit.

    `field` is its path ("stops.0.city"; "" is the object as a whole), `problem` what is wrong with it, and `allowed` the JSON
    schema it has to fit, or the known names where the name itself is unknown.
    """

    field: str
    problem: str
    allowed: object


class ToolCallError(ToolError):
    """Why a tool call has no result. `code` says what kind of failure it is; `__cause__` is the tool's own exception, if it raised.

    `validation_errors` belongs to "invalid_arguments", `retry_after_s` (seconds until the tool may be tried again) to "circuit_open".
    """

    code: ToolErrorCode

    def __init__(
        self,
        message: str,
        *,
        code: ToolErrorCode,
        hint: str | None = None,
        validation_errors: Iterable[FieldError] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.validation_errors = tuple(validation_errors)
        self.retry_after_s = retry_after_s


def envelope(error: ToolError) -> str:
    """What the model reads of a failure.

    >>> envelope(ToolCallError("The tool get_weather did not answer within 10 s.", code="timeout"))
    '{"error": "The tool get_weather did not answer within 10 s.", "fallback": true}'
    """
    told: dict[str, object] = {"error": str(error), "fallback": True}
    if isinstance(error, ToolCallError) and error.validation_errors:
        told["validation_errors"] = [asdict(item) for item in error.validation_errors]
    return as_text(told)


def as_text(result: object) -> str:
    """What the model reads of a result: text as it is, everything else as JSON, and `str(result)` where JSON has no form for it.

    >>> as_text({"degrees": 21, "tags": {"mild"}}), as_text(None), as_text("Mild.")
    ('{"degrees": 21, "tags": ["mild"]}', 'null', 'Mild.')
    """
    if isinstance(result, str):
        return _encodable(result)
    try:
        return _encodable(json.dumps(result, default=plain, ensure_ascii=False))
    except (TypeError, ValueError, RecursionError):  # keys that are no text, cycles, very deep nesting
        return _encodable(str(result))


def plain(value: object) -> object:
    """`value`, which JSON does not know, one step closer to what it does: the `default` of `json.dumps`."""
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: getattr(value, item.name) for item in fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)  # a set of text has another order in each process, and a replay compares
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "backslashreplace")
    for method in ("model_dump", "tolist"):  # pydantic models; numpy arrays and scalars, pandas columns
        if callable(convert := getattr(value, method, None)) and not isinstance(value, type):
            return convert()
    return str(value)


def _encodable(text: str) -> str:
    """`text` without lone surrogates, which no request can carry."""
    return text.encode("utf-8", "replace").decode("utf-8")
