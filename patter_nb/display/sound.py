"""Sound as its outline: loudest sample of each short stretch, so that one sees who spoke when. It cannot be played; it weighs 3 kB."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from patter_nb.audio.tracks import PcmTrack
from patter_nb.display.figures import duration
from patter_nb.display.markup import Html, join, tag
from patter_nb.log import Audio

__all__ = ["audio_page", "audio_text", "track_page", "track_text"]

_STRETCHES = 240
_HEIGHT = 32


def track_text(track: PcmTrack) -> str:
    """Length and rate."""
    return f"<{_told(track)}>"


def track_page(track: PcmTrack) -> Html:
    """The outline, with length and rate."""
    if not len(track):
        return tag("small", _told(track))
    path = "".join(f"M{place} {_HEIGHT // 2 - half}v{2 * half}" for place, half in enumerate(_halves(track)))
    told = _told(track)
    box = f'viewBox="-1 0 {_STRETCHES + 1} {_HEIGHT}" style="height:{_HEIGHT}px" preserveAspectRatio="none"'
    drawn = f'<path d="{path}" fill="none" stroke="currentColor" stroke-width=".6"/>'
    return join(Html(f'<svg {box} role="img" aria-label="{told}">{drawn}</svg>'), tag("small", told))


def audio_text(audio: Audio) -> str:
    """Length and rate of both sounds."""
    return f"<heard: {_told(audio.heard)}; spoken: {_told(audio.spoken)}>"


def audio_page(audio: Audio) -> Html:
    """The outlines of both sounds."""
    sounds = (("heard", audio.heard), ("spoken", audio.spoken))
    return tag("dl", *(join(tag("dt", who), tag("dd", track_page(track))) for who, track in sounds))


def _told(track: PcmTrack) -> str:
    unrecorded = f", {duration(track.unrecorded * 1000 / track.rate)} of it by the browser’s own voice and not recorded"
    return f"{duration(len(track) * 1000 / track.rate)} of sound, {track.rate:,} Hz{unrecorded if track.unrecorded else ''}"


def _halves(track: PcmTrack) -> list[int]:
    """For each stretch half the height of its line, at least 1, on the square root of the amplitude, so that quiet speech is seen."""
    edges = np.linspace(0, len(track), _STRETCHES + 1).astype(int)
    stretches = (track.slice(start, stop).astype(np.int32) for start, stop in pairwise(edges))
    peaks = (int(np.abs(stretch).max(initial=0)) for stretch in stretches)
    return [max(1, round((peak / 32768) ** 0.5 * (_HEIGHT // 2 - 1))) for peak in peaks]
