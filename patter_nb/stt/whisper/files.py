"""Which files a Whisper on this machine is made of, and where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from patter_nb.downloads.artifacts import verified
from patter_nb.downloads.hub import hf_folder, kept_folder
from patter_nb.errors import ModelNotFound

__all__ = ["BUNDLED", "REPOSITORIES", "is_local_model", "model_directory"]

BUNDLED: Final = "tiny.en"
_FILES: Final = ("model.bin", "config.json", "preprocessor_config.json", "tokenizer.json", "vocabulary.json", "vocabulary.txt")
"""What faster-whisper fetches of a repository (`download_model` in faster_whisper/utils.py, v1.2.1)."""
_NEEDED: Final = ("model.bin", "config.json")

REPOSITORIES: Final = {
    **{
        size: f"Systran/faster-whisper-{size}"
        for size in ("tiny.en", "tiny", "base.en", "base", "small.en", "small", "medium.en", "medium")
    },
    **{size: f"Systran/faster-whisper-{size}" for size in ("large-v1", "large-v2", "large-v3")},
    "large": "Systran/faster-whisper-large-v3",
    **{f"distil-{size}": f"Systran/faster-distil-whisper-{size}" for size in ("large-v2", "medium.en", "small.en", "large-v3")},
    "distil-large-v3.5": "distil-whisper/distil-large-v3.5-ct2",
    "large-v3-turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
}
"""By the name of the size, as faster-whisper has them (faster_whisper/utils.py, v1.2.1)."""


def is_local_model(model: str | Path) -> bool:
    """Whether that names a model for this machine. Reads nothing."""
    return isinstance(model, Path) or model in REPOSITORIES or model.startswith("hf:") or "/" in model or "\\" in model


def model_directory(model: str | Path) -> Path:
    """The directory of the CTranslate2 model that `model` names, complete. Blocks.

    "tiny.en" comes with the extra; "hf:owner/repo" is fetched once and kept; another size is looked for where that would have put it.
    Raises `ModelNotFound` for one that is not there, and what `verified` and `hf_folder` raise.
    """
    if model == BUNDLED:
        return verified("whisper", "WhisperSTT")
    if isinstance(model, str) and model in REPOSITORIES:
        ref = f"hf:{REPOSITORIES[model]}"
        kept = kept_folder(ref)
        if kept is None:
            hint = f'Write WhisperSTT(model="{ref}"), which fetches it once; after that its size is enough.'
            raise ModelNotFound(f"The Whisper model {model} is not on this machine.", provider="whisper", model=model, hint=hint)
        return kept
    if isinstance(model, str) and model.startswith("hf:"):
        return _complete(hf_folder(model, _FILES), model)
    return _complete(Path(model).expanduser(), str(model))


def _complete(directory: Path, model: str) -> Path:
    """`directory`, if a model is in it."""
    missing = [name for name in _NEEDED if not (directory / name).is_file()]
    if missing:
        told = f"{directory} is no model for WhisperSTT: there is no {' and no '.join(missing)} in it."
        hint = "Name the directory of a Whisper model in CTranslate2's form, as faster-whisper uses."
        raise ModelNotFound(told, provider="whisper", model=model, hint=hint)
    return directory
