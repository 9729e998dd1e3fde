"""ipywebrtc as a microphone (extra `webrtc`): a recorder whose recording is heard when it stops.

ipywebrtc does not stream: it hands over one recording in the browser's own format at the end, so this is push-to-talk, for streams that the
console's own microphone does not reach (of a video, say, or of another widget).
"""

from __future__ import annotations

from io import BytesIO
from itertools import count
from typing import Any, Final

import numpy as np

from patter_nb.audio.frames import FRAME_SAMPLES, SAMPLE_RATE, Pcm
from patter_nb.console.inbox import Sound
from patter_nb.console.transport import ConsoleTransport
from patter_nb.errors import AudioError, MissingExtra, PatterConfigError
from patter_nb.session import Session
from patter_nb.transports.base import Trouble

__all__ = ["decoded", "push_to_talk"]

_SILENCE_AFTER_S: Final = 2
"""Silence behind a recording, by which the end of the turn is noticed."""

_openings = count(-1, -1)
"""Numbers of recordings; those of pages' microphones are above 0."""


def push_to_talk(session: Session, stream: Any = None) -> Any:
    """An ipywebrtc `AudioRecorder` that `session` hears: press its button, speak, press it again. Display it in a cell.

    `stream` is any ipywebrtc stream with sound; default: the microphone.
    Raises `PatterConfigError` for a session that hears no page, `MissingExtra` without ipywebrtc or PyAV.
    """
    transport = session.transport
    if not isinstance(transport, ConsoleTransport):
        raise PatterConfigError("This session hears no page.", hint="Serve it in a notebook, without transport=.")
    try:
        import av  # noqa: F401  # needed when the first recording comes
        import ipywebrtc
    except ImportError as error:
        raise MissingExtra("webrtc", error.name or "ipywebrtc", "push_to_talk") from error
    if stream is None:
        stream = ipywebrtc.CameraStream(constraints={"audio": True, "video": False})
    recorder = ipywebrtc.AudioRecorder(stream=stream)

    def heard(change: Any) -> None:
        try:
            _send(transport, decoded(bytes(change["new"])))
        except AudioError as error:
            transport.offer(Trouble(error))

    recorder.audio.observe(heard, "value")
    return recorder


def decoded(recording: bytes) -> Pcm:
    """A recording in any format that FFmpeg knows as mono PCM16 at 16 kHz. Raises `AudioError` where it is none."""
    import av

    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    try:
        with av.open(BytesIO(recording), "r") as container:
            decoded_frames = [frame for whole in container.decode(audio=0) for frame in resampler.resample(whole)]
        decoded_frames += resampler.resample(None)
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise AudioError(f"The recording could not be decoded: {error}", hint="Record again, or send a file by the console.") from error
    return np.concatenate([np.zeros(0, np.int16), *(frame.to_ndarray()[0] for frame in decoded_frames)])


def _send(transport: ConsoleTransport, pcm: Pcm) -> None:
    """Have `pcm` heard, whole frames of it, with silence behind it."""
    opening, now_ms = next(_openings), transport.clock.now_ms()
    padded = np.pad(pcm, (0, SAMPLE_RATE * _SILENCE_AFTER_S + -len(pcm) % FRAME_SAMPLES))
    transport.offer(Sound(0, opening, now_ms, padded))
