"""An unknown keyword is a mistake in spelling more often than in thought, so the error names the nearest known one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["reject_unknown"]


def reject_unknown(where: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise `TypeError` for the first name in `given` that is not in `known`, with the nearest known one as a hint."""
    known = list(known)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]}=?" if near else f" It takes {', '.join(known)}."
            raise TypeError(f"{where}() got an unexpected keyword argument {name!r}.{hint}")
