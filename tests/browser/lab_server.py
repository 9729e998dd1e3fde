"""A JupyterLab server that belongs to the tests: its own folders and token, none of the user's settings, and no word to other machines."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

START_S = 60
"""A start takes 2 s here; on a machine that is busy with other tests it takes many."""

INSECURE_HOST = "lab.test"
"""A name by which the server answers, too, if the browser is told that it means this computer."""

SERVER = {
    "ServerApp": {
        "ip": "127.0.0.1",
        "port": 0,
        "open_browser": False,
        "allow_root": True,
        "local_hostnames": ["localhost", INSECURE_HOST],
    },
}
LAB = {
    "LabApp": {
        "expose_app_in_browser": True,
        "extension_manager": "readonly",
        "news_url": None,
        "check_for_updates_class": "jupyterlab.handlers.announcements.NeverCheckForUpdate",
    },
}
PAGE = {
    "disabledExtensions": {
        "@jupyterlab/apputils-extension:announcements": True,
        "@jupyterlab/extensionmanager-extension": True,
    },
}
SETTINGS = {"@jupyterlab/apputils-extension/sessionDialogs": {"skipKernelRestartDialog": True}}


@dataclass(frozen=True, slots=True)
class LabServer:
    """A running server. `notebooks` is what it shows, `runtime` has the kernels' connection files, `log` what it and its kernels print."""

    url: str
    token: str
    notebooks: Path
    runtime: Path
    settings: Path
    log: Path
    process: subprocess.Popen[bytes]

    def address(self, path: str, *, insecure: bool = False) -> str:
        """`path` ("lab/tree/a.ipynb") as a URL that opens without a login."""
        url = self.url.replace("127.0.0.1", INSECURE_HOST) if insecure else self.url
        return f"{url}{path}?token={self.token}"

    def api(self) -> httpx.AsyncClient:
        """A client of the server's REST API, whose paths begin with api/."""
        return httpx.AsyncClient(base_url=self.url, headers={"Authorization": f"token {self.token}"}, timeout=START_S)

    @asynccontextmanager
    async def gone(self) -> AsyncIterator[None]:
        """The server stands still for as long as the block takes; its kernels go on."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def forget_settings(self) -> None:
        """Back to the settings that every test begins with: JupyterLab's own, and a restart of the kernel asks no questions."""
        shutil.rmtree(self.settings, ignore_errors=True)
        for name, values in SETTINGS.items():
            _write(self.settings / f"{name}.jupyterlab-settings", values)


@contextmanager
def running_lab(home: Path) -> Iterator[LabServer]:
    """A server that lives in `home`, an empty folder, until the end of the block."""
    token = secrets.token_hex(16)
    _write(home / "config" / "jupyter_server_config.json", {**SERVER, "IdentityProvider": {"token": token}})
    _write(home / "config" / "jupyter_lab_config.json", LAB)
    _write(home / "config" / "labconfig" / "page_config.json", PAGE)
    notebooks, log = home / "notebooks", home / "server.log"
    notebooks.mkdir()
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={notebooks}"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=_environment(home), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    try:
        url = _answering(process, home / "runtime" / f"jpserver-{process.pid}.json", log)
        server = LabServer(url, token, notebooks, home / "runtime", home / "settings", log, process)
        server.forget_settings()
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON", "ANYWIDGET", "COVERAGE"))}
    folders = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime", "IPYTHONDIR": "ipython"}
    folders |= {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    return kept | {name: str(home / folder) for name, folder in folders.items()}


def _answering(process: subprocess.Popen[bytes], told: Path, log: Path) -> str:
    """The server's URL, once it answers there; `told` is where it says its port."""
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            at = json.loads(told.read_text("utf-8"))
            url = f"http://127.0.0.1:{at['port']}{at['base_url']}"
            if httpx.get(f"{url}api/status", params={"token": at["token"]}).is_success:
                return url
        except (OSError, ValueError, httpx.TransportError):
            pass
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab does not answer (exit status {process.poll()}):\n{log.read_text('utf-8', 'replace')[-5000:]}")


def _write(path: Path, values: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), "utf-8")
