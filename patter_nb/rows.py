"""What a session gives to other tools: light sequences that do not change, whose slices are of their own kind, and that become tables.

pandas is loaded when a table is asked for, and is needed for nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, overload

from patter_nb.errors import MissingExtra

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Rows", "Tabular"]

Entry = TypeVar("Entry")
Item = TypeVar("Item")


class Tabular:
    """Whatever is a table: `to_dicts` gives its rows, each with all of `_COLUMNS`; those of `_WHOLE` hold whole numbers, or None."""

    __slots__ = ()
    _COLUMNS: ClassVar[tuple[str, ...]] = ()
    _WHOLE: ClassVar[frozenset[str]] = frozenset()

    def to_dicts(self) -> list[dict[str, Any]]:
        """A dict for each row; money is `Decimal`, what is not known None."""
        raise NotImplementedError

    def to_pandas(self) -> DataFrame:
        """The rows as a `pandas.DataFrame`: money as float, what is not known as NaN or NA. Raises `MissingExtra` without pandas."""
        try:
            import pandas
        except ImportError as error:
            raise MissingExtra("lab", error.name or "pandas", f"{type(self).__name__}.to_pandas()") from error
        rows = [{name: _number(value) for name, value in row.items()} for row in self.to_dicts()]
        frame = pandas.DataFrame(rows, columns=list(self._COLUMNS))
        return frame.astype({name: "Int64" for name in self._COLUMNS if name in self._WHOLE})


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


class Rows(Tabular, Sequence[Item], Generic[Entry, Item]):
    """A sequence of items that does not change; equal to any other of equal items. A slice is of the same kind."""

    __slots__ = ("_entries",)

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries: tuple[Entry, ...] = tuple(entries)

    def _item(self, entry: Entry) -> Item:
        """What an entry is to whoever reads."""
        raise NotImplementedError

    def _row(self, entry: Entry) -> dict[str, Any]:
        """Its row in the table, without what is not known."""
        raise NotImplementedError

    def to_dicts(self) -> list[dict[str, Any]]:
        empty = dict.fromkeys(self._COLUMNS)
        return [{**empty, **self._row(entry)} for entry in self._entries]

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Item | Self:
        if isinstance(index, slice):
            return type(self)(self._entries[index])
        return self._item(self._entries[index])

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Item]:
        return map(self._item, self._entries)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Sequence) and not isinstance(other, (str, bytes)):
            return list(self) == list(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # its items may change

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)
