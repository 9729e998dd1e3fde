"""`patter-nb lab`: which notebook is opened, and what is told when something is missing."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from patter_nb import cli, lab
from patter_nb.errors import MissingExtra, PatterError


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would be run."""
    ran: list[list[str]] = []

    def run(command: list[str]) -> int:
        ran.append(command)
        return 0

    monkeypatch.setattr(lab, "_run", run)
    return ran


def test_a_clone_opens_its_own_notebook(tmp_path: Path) -> None:
    found = lab.notebook(tmp_path)
    assert found == Path(lab.__file__).parent.parent / "notebooks" / "01_first_words.ipynb"
    cells = json.loads(found.read_text("utf-8"))["cells"]
    assert not [cell for cell in cells if cell.get("outputs")]


def test_an_installed_package_copies_its_notebooks_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "patter_nb"
    (package / "notebooks").mkdir(parents=True)
    (package / "notebooks" / lab.FIRST).write_text("new", "utf-8")
    monkeypatch.setattr(lab, "__file__", str(package / "lab.py"))
    here = tmp_path / "mine"
    here.mkdir()
    copy = lab.notebook(here)
    assert copy.read_text("utf-8") == "new"
    copy.write_text("mine", "utf-8")
    assert lab.notebook(here).read_text("utf-8") == "mine"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "patter_nb"
    package.mkdir(parents=True)
    monkeypatch.setattr(lab, "__file__", str(package / "lab.py"))
    with pytest.raises(PatterError, match="cannot be copied"):
        lab.notebook(tmp_path)


def test_it_listens_on_this_machine_only_and_asks_nobody_for_news(commands: list[list[str]]) -> None:
    assert lab.open_lab(port=12345, browser=False) == 0
    (command,) = commands
    assert "--ServerApp.ip=127.0.0.1" in command
    assert "--ServerApp.port=12345" in command
    assert "--no-browser" in command
    assert not [option for option in command if "token" in option]


def test_a_port_in_use_is_named_before_anything_starts(commands: list[list[str]]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(PatterError, match=f"Port {taken.getsockname()[1]} cannot be listened on"):
            lab.open_lab(port=taken.getsockname()[1])
    assert not commands


def test_without_jupyterlab_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="jupyterlab"):
        lab.open_lab()


def test_the_notebook_opens_though_a_model_cannot_be_had(
    commands: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def download() -> None:
        raise PatterError("No network.", hint="Plug it in.")

    monkeypatch.setattr("patter_nb.downloads.download", download)
    assert cli.main(["lab", "--no-browser"]) == 0
    assert commands
    told = capsys.readouterr().err
    assert "error: No network." in told
    assert "remedy: Plug it in." in told


def test_a_port_that_is_none_is_wrong_use(commands: list[list[str]]) -> None:
    assert cli.main(["lab", "--port", "99999"]) == 2
    assert not commands
