"""What a provider of the local stack is made of, told by its class, so that what is missing can be named before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from patter_nb.downloads.artifacts import ARTIFACTS, locate

__all__ = ["Needs"]


@dataclass(frozen=True, slots=True)
class Needs:
    """The `packages` that are imported, which the extra `extra` brings, and the `artifacts` that are loaded."""

    extra: str
    packages: tuple[str, ...]
    artifacts: tuple[str, ...]

    @property
    def missing_packages(self) -> tuple[str, ...]:
        """Those of the packages that are not installed. Imports nothing."""
        return tuple(name for name in self.packages if find_spec(name) is None)

    @property
    def missing_models(self) -> tuple[str, ...]:
        """Those of the artifacts that are not on this machine. Whether one is the right one is seen when it is loaded."""
        return tuple(name for name in self.artifacts if locate(ARTIFACTS[name]) is None)

    @property
    def commands(self) -> tuple[str, ...]:
        """What to run in a terminal to bring what is missing; empty where nothing is."""
        models = self.missing_models
        bundled = [name for name in models if ARTIFACTS[name].source == "bundled"]
        fetched = [name for name in models if ARTIFACTS[name].source != "bundled"]
        install = [f'pip install "patter-nb[{self.extra}]"'] if self.missing_packages or bundled else []
        return (*install, *([f"patter-nb download {' '.join(fetched)}"] if fetched else []))
