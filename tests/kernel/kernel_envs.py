"""Virtual environments with one release of ipykernel each, made once and kept: releases differ in how a comm message reaches Python."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
VERSIONS = ("6.31.0", "7.1.0", "7.4.0")
"""Without subshells; with them, and messages go where the page says; with them, and messages go where the comm last sent from."""


def python_with(ipykernel: str, envs: Path) -> Path:
    """The Python of an environment in `envs` with this package and that release of ipykernel. Making one takes half a minute and 250 MB.

    Another environment is made when the dependencies or this Python change. It is complete from the moment it has its name, so that two
    test runs may share `envs`.
    """
    requirements = ["--editable", str(ROOT), f"ipykernel=={ipykernel}", "anywidget", "ipywidgets"]
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    fingerprint = hashlib.sha256(repr((requirements, dependencies, sys.executable)).encode()).hexdigest()[:8]
    home = envs / f"ipykernel-{ipykernel}-python-{version}-{fingerprint}"
    if not home.is_dir():
        making = envs / f"making-{home.name}-{os.getpid()}"
        venv.create(making, with_pip=True, clear=True)
        pip = [str(_python(making)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(making)
            raise RuntimeError(f"pip cannot make an environment with ipykernel {ipykernel}:\n{done.stdout}{done.stderr}")
        try:
            making.rename(home)
        except OSError:  # another test run was faster
            shutil.rmtree(making)
    return _python(home)


def _python(home: Path) -> Path:
    return home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
