"""Voice activity detection: whether the person speaks, frame by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from patter_nb.agent import Agent
    from patter_nb.vad.base import VAD

__all__ = ["default_vad", "with_ears"]


def default_vad() -> VAD:
    """A new `SileroVAD` where its model and onnxruntime are installed, else an `EnergyVAD`, which needs nothing."""
    from importlib.util import find_spec

    from patter_nb.downloads.artifacts import ARTIFACTS, locate

    if find_spec("onnxruntime") is not None and locate(ARTIFACTS["silero"]) is not None:
        from patter_nb.vad.silero import SileroVAD

        return SileroVAD()
    from patter_nb.vad.energy import EnergyVAD

    return EnergyVAD()


def with_ears(agent: Agent) -> Agent:
    """`agent`, given a detector if it hears (has speech-to-text, and no engine) and names none."""
    return agent.replace(vad=default_vad()) if agent.stt is not None and agent.engine is None and agent.vad is None else agent
