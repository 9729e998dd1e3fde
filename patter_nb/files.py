"""Files that appear whole or not at all: what is written lies beside its place under another name until it is complete."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeAlias

from patter_nb.errors import PatterError

__all__ = ["StrPath", "check_writable", "whole_file"]

StrPath: TypeAlias = str | os.PathLike[str]


@contextmanager
def whole_file(path: StrPath, *, parents: bool = False, error: type[PatterError] = PatterError) -> Iterator[BinaryIO]:
    """A file to be written, which takes the place of `path` when the block succeeds and is gone when it fails.

    A link stays a link, a file's permissions stay, and a device or a pipe is written to. `parents` makes missing directories.
    Raises `error`, naming path and remedy, when the file cannot be written.
    """
    with _naming(path, error):
        if parents:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        target, replaceable = _target(Path(path))
        if not replaceable:
            with target.open("wb") as file:
                yield file
            return
        part = _beside(target)
        try:
            with part.open("xb") as file:
                yield file
            if target.exists():
                shutil.copymode(target, part)
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)


def check_writable(path: StrPath, *, error: type[PatterError] = PatterError) -> None:
    """Raise `error` unless `whole_file(path)` can be expected to work. Leaves nothing behind and changes nothing."""
    with _naming(path, error):
        target, replaceable = _target(Path(path))
        if replaceable:
            part = _beside(target)
            part.open("xb").close()
            part.unlink()


@contextmanager
def _naming(path: StrPath, error: type[PatterError]) -> Iterator[None]:
    """What the system says about `path` as an `error`."""
    try:
        yield
    except OSError as said:
        raise error(
            f"{os.fspath(path)} cannot be written: {said.strerror}.",
            hint="Give the path of a file in a directory that exists and that you may write to, on a disk with room.",
        ) from said


def _target(path: Path) -> tuple[Path, bool]:
    """What `path` leads to, so that a link stays a link, and whether it may be replaced: a device or a pipe is written to."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return path.resolve(), True
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(0, "it is a directory")
    if not os.access(path, os.W_OK):
        raise PermissionError(0, "it is write-protected")
    return (path.resolve(), True) if stat.S_ISREG(mode) else (path, False)


def _beside(target: Path) -> Path:
    return target.with_name(f".{secrets.token_hex(6)}.part")
