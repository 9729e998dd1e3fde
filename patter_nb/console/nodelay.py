"""A Jupyter server extension that sends small messages at once: live sound up and down on one websocket then waits for nothing.

Without it the network collects them (Nagle's algorithm against delayed acknowledgements) for up to 40 ms at a time. `patter-nb lab` uses
it; elsewhere `jupyter server extension enable patter_nb.console.nodelay` does. Nothing needs it.
"""

from __future__ import annotations

from typing import Any

__all__: list[str] = []

_CLASS = "kernel_websocket_connection_class"


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "patter_nb.console.nodelay"}]


def _load_jupyter_server_extension(app: Any) -> None:
    settings = app.web_app.settings
    base: Any = settings[_CLASS]

    class Prompt(base):  # type: ignore[misc]  # whatever class this server uses
        """A kernel's websocket that holds nothing back."""

        def connect(self) -> Any:
            self.websocket_handler.set_nodelay(True)
            return super().connect()

    settings[_CLASS] = Prompt
    app.log.info("patter_nb: the kernels' websockets send at once (TCP_NODELAY)")
