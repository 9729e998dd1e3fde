"""The page's half of the console as one text: anywidget loads one module for a widget, and ours is written in many small ones.

No bundler is needed for that. The modules import only each other, by one-line named imports, and no two use a name twice, so that
what is left when those lines and the word `export` are dropped can stand in one file, each module after those it imports.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["page_module", "style_sheet", "worklet_source"]

HERE: Final = Path(__file__).parent
_ENTRY: Final = HERE / "js" / "entry.js"
_WORKLET: Final = HERE / "js" / "audio" / "worklet.js"
_IMPORT: Final = re.compile(r'^import \{[^}]*\} from "(\.[^"]+)";$', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=(?:async )?(?:const|let|function|class)\b)", re.MULTILINE)


def joined(entry: Path) -> str:
    """`entry` and all that it imports as one module text. Raises `ValueError` for modules that import each other in a circle."""
    parts: dict[Path, str] = {}

    def add(path: Path, ahead: tuple[Path, ...]) -> None:
        if path in parts:
            return
        if path in ahead:
            raise ValueError(f"{path.name} imports itself by way of {ahead[-1].name}")
        text = path.read_text("utf-8")
        for match in _IMPORT.finditer(text):
            add((path.parent / match[1]).resolve(), (*ahead, path))
        parts[path] = _EXPORT.sub("", _IMPORT.sub("", text)).strip()

    add(entry.resolve(), ())
    return "\n\n".join(parts.values()) + "\n"


@cache
def worklet_source() -> str:
    """The text of the audio worklet, which runs in a scope of its own and is loaded from a Blob."""
    return joined(_WORKLET)


@cache
def page_module() -> str:
    """The module of every view."""
    return f"const WORKLET_SOURCE = {json.dumps(worklet_source())};\n\n{joined(_ENTRY)}"


@cache
def style_sheet() -> str:
    """How every view looks."""
    return "\n".join(path.read_text("utf-8") for path in sorted((HERE / "css").glob("*.css")))
