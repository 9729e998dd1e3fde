"""Which files a `LocalLLM` is made of, and where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from patter_nb.downloads.artifacts import ARTIFACTS, verified
from patter_nb.downloads.fetch import hf_file
from patter_nb.downloads.needs import Needs
from patter_nb.errors import PatterConfigError

__all__ = ["DEFAULT_MODEL", "NEEDS", "encoder_files", "local_model_is_installed", "model_file"]

DEFAULT_MODEL: Final = "smollm2"
_ENCODER: Final = "minilm"
NEEDS: Final = Needs("local", ("xllamacpp",), (DEFAULT_MODEL, _ENCODER))


def local_model_is_installed() -> bool:
    """Whether `LocalLLM()` has all that it needs on this machine. Loads and reads nothing."""
    return not NEEDS.commands


def model_file(model: str | Path) -> Path:
    """The GGUF file that `model` names: "smollm2", a path, or "hf:owner/repo/file.gguf", which is fetched once and kept. Blocks.

    Raises `PatterConfigError` for a name of another form, and for "smollm2" and the hub what `verified` and `hf_file` raise.
    """
    if isinstance(model, Path):
        return model
    if model == DEFAULT_MODEL:
        return verified(model, "LocalLLM") / ARTIFACTS[model].files[0].path
    if model.startswith("hf:"):
        return hf_file(model)
    if model.endswith(".gguf") or "/" in model or "\\" in model:
        return Path(model).expanduser()
    raise PatterConfigError(
        f"LocalLLM knows no model {model!r}.",
        hint='Give "smollm2", the path of a GGUF file, or "hf:owner/repo/file.gguf".',
        provider="local",
    )


def encoder_files() -> tuple[Path, Path]:
    """The weights and the vocabulary of the sentence encoder, checked. Raises what `verified` raises."""
    folder = verified(_ENCODER, "LocalLLM")
    weights, vocabulary = (folder / file.path for file in ARTIFACTS[_ENCODER].files)
    return weights, vocabulary
