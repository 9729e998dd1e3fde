"""Models of the Hugging Face hub that are several files: a repository's files of known names, all of one commit.

The hub keeps the SHA-256 of what is in large file storage, and Git's blob id of the rest; both are checked as a file arrives. Once all are
there, their SHA-256 are noted beside them, so that later uses need no network and still check them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx

from patter_nb.downloads.artifacts import data_dir, sha256_of
from patter_nb.downloads.fetch import TIMEOUT_S, check_status, endpoint_url, fetch, fetch_blob, headers_for, network_errors
from patter_nb.downloads.progress import Progress, Quiet, megabytes
from patter_nb.errors import ModelNotFound, PatterConfigError
from patter_nb.files import whole_file

__all__ = ["hf_folder", "kept_folder"]

_NOTE: Final = "SHA256SUMS"
_NAME: Final = re.compile(r"hf:([\w-][\w.-]*)/([\w-][\w.-]*)")


class _File(NamedTuple):
    """A file of a repository: `sha256` in hex of one in large file storage, else `blob`, Git's id of it."""

    name: str
    size: int
    sha256: str | None
    blob: str


def kept_folder(ref: str) -> Path | None:
    """Where `hf_folder` keeps the repository `ref`, "hf:owner/repo", if all its files are there and as they were fetched; else None."""
    folder = data_dir().joinpath("hub", *_repository(ref))
    note = folder / _NOTE
    if not note.is_file():
        return None
    noted = [line.split("  ", 1) for line in note.read_text("utf-8").splitlines()]
    return folder if all((folder / name).is_file() and sha256_of(folder / name) == sha256 for sha256, name in noted) else None


def hf_folder(ref: str, names: Collection[str], progress: Progress | None = None) -> Path:
    """A directory with those of the files `names` that the repository `ref`, "hf:owner/repo", has on its main branch. Blocks.

    They are fetched on first use and kept under hub/owner/repo of the data directory. What is there and right already is not fetched again.
    Files and hashes are those of /api/models/{owner}/{repo}/revision/main?blobs=true, as in huggingface_hub's `model_info`.
    Raises `PatterConfigError` for a ref of another form, `ModelNotFound` where it has none of them, else what `fetch` raises.
    """
    kept = kept_folder(ref)
    if kept is not None:
        return kept
    progress, base, (owner, repo) = progress or Quiet(), endpoint_url().rstrip("/"), _repository(ref)
    commit, listed = _listed(f"{base}/api/models/{owner}/{repo}/revision/main?blobs=true")
    wanted = [file for file in listed if file.name in names]
    if not wanted:
        raise ModelNotFound(f"{ref} has none of {', '.join(names)}.", model=ref, hint="Check owner and repository.")
    folder = data_dir() / "hub" / owner / repo
    progress.say(f"Fetching {ref} ({megabytes(sum(file.size for file in wanted))}) to {folder}")
    for file in wanted:
        _bring(file, f"{base}/{owner}/{repo}/resolve/{commit}/{file.name}", folder / file.name, progress)
    with whole_file(folder / _NOTE) as note:
        note.write("".join(f"{sha256_of(folder / file.name)}  {file.name}\n" for file in wanted).encode())
    return folder


def _bring(file: _File, url: str, path: Path, progress: Progress) -> None:
    if file.sha256 is None:
        if not path.is_file() or _blob_of(path) != file.blob:
            fetch_blob(url, path, file.blob, file.size, progress)
    elif not path.is_file() or sha256_of(path) != file.sha256:
        fetch(url, path, file.sha256, progress)


def _listed(url: str) -> tuple[str, list[_File]]:
    """The commit that main is now, and its files."""
    with network_errors(url), httpx.Client(follow_redirects=True, timeout=TIMEOUT_S) as client:
        response = client.get(url, headers=headers_for(url))
        check_status(response, url)
    try:
        told = response.json()
        commit, files = str(told["sha"]), [_file(one) for one in told["siblings"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _unlike_the_hub(url) from error
    if not re.fullmatch("[0-9a-f]{40}", commit):
        raise _unlike_the_hub(url)
    return commit, files


def _file(told: Mapping[str, Any]) -> _File:
    lfs = told.get("lfs") or {}
    return _File(str(told["rfilename"]), int(lfs.get("size", told["size"])), str(lfs["sha256"]) if lfs else None, str(told["blobId"]))


def _unlike_the_hub(url: str) -> PatterConfigError:
    return PatterConfigError(f"{url} does not list a repository's files as the hub does.", hint="Check HF_ENDPOINT if you set it.")


def _repository(ref: str) -> tuple[str, str]:
    named = _NAME.fullmatch(ref)
    if named is None:
        raise PatterConfigError(f"{ref!r} does not name a repository of the hub.", hint='Write "hf:owner/repo".')
    return named[1], named[2]


def _blob_of(path: Path) -> str:
    """Git's id of a file."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
