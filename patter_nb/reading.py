"""A property behind which Tab completes.

IPython's completer evaluates no `property`, so that nothing follows `session.chunks.`; and jedi, which it asks first, fails for the whole
object where one is annotated with a Literal (jedi 0.19, IPython 9). It does read an attribute of another kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NoReturn, Self, TypeVar, overload

__all__ = ["reading"]

Value = TypeVar("Value")


class reading(Generic[Value]):  # used like property
    """Decorator: the method, which takes no argument, is read as an attribute. It must be quick, and change nothing."""

    def __init__(self, read: Callable[[Any], Value]) -> None:
        self._read = read
        self.__doc__ = read.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, owner: None, kind: type) -> Self: ...
    @overload
    def __get__(self, owner: object, kind: type) -> Value: ...
    def __get__(self, owner: object | None, kind: type) -> Self | Value:
        return self if owner is None else self._read(owner)

    def __set__(self, owner: object, value: object) -> NoReturn:
        raise AttributeError(f"{self._name} cannot be set.")
