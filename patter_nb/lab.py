"""`patter-nb lab`: the first notebook in JupyterLab, with the local models fetched."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from patter_nb.errors import MissingExtra, PatterError

__all__ = ["notebook", "open_lab"]

FIRST: Final = "01_first_words.ipynb"
_COPIED_TO: Final = "patter_notebooks"
_QUIET: Final = (
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.jpserver_extensions=patter_nb.console.nodelay=True",
    "--LabApp.news_url=",  # no look-up of news
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
)


def notebook(here: Path) -> Path:
    """The first notebook: of the clone that this package runs from, else a copy below `here`, which is left alone where it exists.

    Raises `PatterError` where the package carries none, or it cannot be copied.
    """
    package = Path(__file__).parent
    in_clone = package.parent / "notebooks" / FIRST
    if in_clone.is_file():
        return in_clone
    carried, copy = package / "notebooks", here / _COPIED_TO
    try:
        if not (copy / FIRST).is_file():
            shutil.copytree(carried, copy, dirs_exist_ok=True)
    except OSError as error:
        raise PatterError(f"The notebooks cannot be copied to {copy}: {error}", hint="Run it in a folder that you may write to.") from error
    return copy / FIRST


def open_lab(*, port: int | None = None, browser: bool = True, here: Path | None = None) -> int:
    """Run JupyterLab on 127.0.0.1, with a token, until it is stopped; returns its exit status.

    Raises `MissingExtra` without JupyterLab.
    """
    if find_spec("jupyterlab") is None:
        raise MissingExtra("lab", "jupyterlab", "patter-nb lab")
    options: list[str] = [*_QUIET]
    if port is not None:
        _require_free(port)
        options += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    if not browser:
        options.append("--no-browser")
    if getattr(os, "geteuid", lambda: 1)() == 0:  # JupyterLab refuses root unless it is told; in a container there is often nobody else
        options.append("--allow-root")
    opened = notebook(here or Path.cwd())
    return _run([sys.executable, "-m", "jupyterlab", str(opened), f"--LabApp.default_url=/lab/tree/{opened.name}", *options])


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            hint = "Name another: patter-nb lab --port N"
            raise PatterError(f"Port {port} cannot be listened on: {error.strerror}.", hint=hint) from error


def _run(command: list[str]) -> int:
    """Become the command where that is possible, so that whoever ends this ends it; else wait for it."""
    if os.name == "posix":
        os.execv(command[0], command)
    with subprocess.Popen(command) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue
