"""Files from the web, and from the Hugging Face hub by the hashes that the hub itself keeps.

A file appears under its name only when it is whole and has the promised SHA-256; until then it lies beside it under a temporary
name, which is removed when anything goes wrong. Every attempt starts from the beginning: a resumed file would have to be hashed
again in any case.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from patter_nb.downloads.artifacts import data_dir, sha256_of
from patter_nb.downloads.progress import Progress, Quiet, megabytes
from patter_nb.errors import (
    AuthenticationError,
    ConnectionFailed,
    ModelNotFound,
    PatterConfigError,
    RateLimitError,
    RequestTimeout,
    ServerError,
)
from patter_nb.files import whole_file

__all__ = [
    "TIMEOUT_S",
    "HubFile",
    "check_status",
    "endpoint_url",
    "fetch",
    "fetch_blob",
    "headers_for",
    "hf_file",
    "hf_resolve",
    "network_errors",
]

_HUB = "https://huggingface.co"
TIMEOUT_S = 30.0
_AS_STORED = {"Accept-Encoding": "identity"}
"""Hash and size are those of the stored file, so it must not be packed for the way."""
_RENAMES = 3
"""A renamed repository answers with a redirect within the hub; more than a few in a row are a loop."""


class HubFile(NamedTuple):
    """Where a file of the hub is fetched from (one commit, so that hash and content cannot part), its SHA-256 in hex, its size in bytes."""

    url: str
    sha256: str
    size: int


def fetch(url: str, path: Path, sha256: str, progress: Progress | None = None) -> None:
    """Download `url` to `path`, whose directory is made; `sha256` in hex is what must arrive. Blocks.

    The token in HF_TOKEN goes to the hub's own host and to no other, also when the hub redirects.
    Raises `PatterConfigError` for another hash, `ModelNotFound`, `AuthenticationError`, `RateLimitError`, `ServerError` by HTTP status,
    `ConnectionFailed` and `RequestTimeout` by network, `PatterError` when the file cannot be written. `path` is then as it was before.
    """
    _fetch(url, path, hashlib.sha256(), ("SHA-256", sha256), progress or Quiet())


def fetch_blob(url: str, path: Path, blob: str, size: int, progress: Progress | None = None) -> None:
    """Download a file of the hub that is not in large file storage, of which it keeps Git's id: the SHA-1 of "blob", `size` and content.

    Raises what `fetch` raises.
    """
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    _fetch(url, path, digest, ("Git blob id", blob), progress or Quiet())


def _fetch(url: str, path: Path, digest: hashlib._Hash, promised: tuple[str, str], progress: Progress) -> None:
    """Download `url` to `path`, if `digest` of it comes to what is promised: (what that is called, in hex)."""
    with network_errors(url), whole_file(path, parents=True) as file, httpx.Client(follow_redirects=True, timeout=TIMEOUT_S) as client:
        with client.stream("GET", url, headers=headers_for(url)) as response:
            check_status(response, url)
            total = int(response.headers.get("content-length", 0))
            for block in response.iter_bytes(1 << 20):
                digest.update(block)
                file.write(block)
                progress.advance(response.num_bytes_downloaded, total)
        kind, expected = promised
        if digest.hexdigest() != expected:
            message = f"{url} sent a file with the {kind} {digest.hexdigest()}, expected {expected}; nothing was kept."
            raise PatterConfigError(message, hint="Try again; if it stays so, a proxy or the sender changed the file: do not use it.")


def hf_resolve(ref: str, endpoint: str | None = None) -> HubFile:
    """What the hub knows of the file that `ref`, "hf:owner/repo/file.gguf", names on the main branch. Blocks.

    `endpoint` is HF_ENDPOINT or https://huggingface.co. The hash is the X-Linked-Etag of /{owner}/{repo}/resolve/main/{file}, which
    for files in large file storage is their SHA-256, and the commit its X-Repo-Commit, as in huggingface_hub's
    `get_hf_file_metadata`.
    Raises `PatterConfigError` for a ref of another form and for a file without a hash; else what `fetch` raises.
    """
    owner, repo, file = _parts(ref)
    base = (endpoint or endpoint_url()).rstrip("/")
    url = httpx.URL(f"{base}/{owner}/{repo}/resolve/main/{file}")
    with network_errors(str(url)), httpx.Client(timeout=TIMEOUT_S) as client:
        response = client.head(url, headers=headers_for(str(url)))
        for _ in range(_RENAMES):
            target = url.join(response.headers.get("location", ""))
            if not response.has_redirect_location or "x-linked-etag" in response.headers or _origin(target) != _origin(url):
                break
            url = target
            response = client.head(url, headers=headers_for(str(url)))
        if not response.has_redirect_location:
            check_status(response, str(url))
    sha256 = response.headers.get("x-linked-etag", "").removeprefix("W/").strip('"').lower()
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise PatterConfigError(f"The hub gives no SHA-256 for {ref}.", hint="Name a model file (.gguf); small text files have none.")
    at_commit = str(url).replace("/resolve/main/", f"/resolve/{response.headers.get('x-repo-commit', 'main')}/", 1)
    return HubFile(at_commit, sha256, int(response.headers.get("x-linked-size", 0)))


def hf_file(ref: str, progress: Progress | None = None) -> Path:
    """The file that `ref`, "hf:owner/repo/file.gguf", names, fetched on first use. Blocks.

    It is kept in the data directory under hub/owner/repo with its SHA-256 beside it, so that later uses need no network and still check it.
    Raises what `hf_resolve` and `fetch` raise; a kept file that has changed is fetched again.
    """
    progress = progress or Quiet()
    path = data_dir().joinpath("hub", *_parts(ref))
    note = path.with_name(path.name + ".sha256")
    if path.is_file() and note.is_file() and sha256_of(path) == note.read_text("ascii").strip():
        return path
    remote = hf_resolve(ref)
    progress.say(f"Fetching {ref} ({megabytes(remote.size)}) to {path}")
    fetch(remote.url, path, remote.sha256, progress)
    with whole_file(note) as file:
        file.write(f"{remote.sha256}\n".encode("ascii"))
    return path


def _parts(ref: str) -> tuple[str, str, str]:
    owner, _, rest = ref.removeprefix("hf:").partition("/")
    repo, _, file = rest.partition("/")
    steps = (owner, repo, *file.split("/"))
    if not ref.startswith("hf:") or any(step in ("", ".", "..") or set(step) & set("\\:?#%") for step in steps):
        raise PatterConfigError(f"{ref!r} does not name a file of the hub.", hint='Write "hf:owner/repo/file.gguf".')
    return owner, repo, file


def endpoint_url() -> str:
    """The hub: HF_ENDPOINT, or https://huggingface.co."""
    return os.environ.get("HF_ENDPOINT") or _HUB


def headers_for(url: str) -> dict[str, str]:
    """What a request carries: with the hub's token for the hub's own host only; httpx drops it from a redirect to another host."""
    token = os.environ.get("HF_TOKEN")
    to_hub = _origin(httpx.URL(url)) == _origin(httpx.URL(endpoint_url()))
    return {**_AS_STORED, "Authorization": f"Bearer {token}"} if token and to_hub else _AS_STORED


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def check_status(response: httpx.Response, url: str) -> None:
    """Raise the error of our family that an HTTP status is."""
    status = response.status_code
    match status:
        case _ if response.is_success:
            return
        case 401 | 403:
            raise AuthenticationError(
                f"{url} may not be read.", status=status, hint="Accept the model's terms and set HF_TOKEN, or use another model."
            )
        case 404 | 410:
            raise ModelNotFound(f"There is no {url}.", status=status, hint="Check owner, repository and file name.")
        case 429:
            after = response.headers.get("retry-after", "")
            raise RateLimitError(
                f"{url} is asked too often.", retry_after_s=float(after) if after.isdecimal() else None, hint="Wait and try again."
            )
        case _:
            raise ServerError(f"{url} answered with status {status}.", hint="Try again later.")


@contextmanager
def network_errors(url: str) -> Iterator[None]:
    """What the network does to a request for `url`, as errors of our family."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise RequestTimeout(f"{url} did not answer within {TIMEOUT_S:.0f} s.", hint="Check the network and try again.") from error
    except (httpx.TransportError, httpx.TooManyRedirects) as error:
        raise ConnectionFailed(f"{url} could not be read: {error}", hint="Check the network and try again; nothing was kept.") from error
