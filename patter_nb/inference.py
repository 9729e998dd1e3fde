"""Where native models are loaded and run: one thread for each, never the event loop, and never a word to anyone else's server.

Native libraries are not reentrant, and a call into one cannot be interrupted. So each model lives with the one thread that may
touch it; a caller that is cancelled leaves at once, and the call it had begun ends on that thread before the next one starts.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any, Generic, TypeVar

from patter_nb.errors import MissingExtra, PatterError

__all__ = ["NativeModel", "import_native", "inference_threads", "onnx_session"]

Model = TypeVar("Model")
Result = TypeVar("Result")


def inference_threads() -> int:
    """How many threads a model may compute with: one core is left to the event loop and the sound.

    >>> inference_threads() >= 1
    True
    """
    return max(1, _cores() - 1)


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))  # what a container or a batch system really gives us
    except AttributeError:  # macOS and Windows have no such call
        return os.cpu_count() or 1


def import_native(package: str, needed_for: str, extra: str = "local") -> ModuleType:
    """Import a package of local inference; raises `MissingExtra`, naming `extra` and `needed_for`.

    Every local package comes through here, because piper and faster-whisper import onnxruntime, and from 1.29 on onnxruntime
    reports each process to its vendor unless ORT_DISABLE_TELEMETRY is set before its import; its own switch,
    `disable_telemetry_events()`, comes too late.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise MissingExtra(extra, error.name or package, needed_for) from error


def onnx_session(path: str, *, threads: int, needed_for: str) -> Any:
    """An onnxruntime `InferenceSession` of the model at `path` on the processor, with `threads` threads that rest between runs."""
    onnxruntime = import_native("onnxruntime", needed_for)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # onnxruntime would print warnings into the cell; what fails raises
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads would take the cores from the other models
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class NativeModel(Generic[Model]):
    """A model that is loaded on first use, and the thread it lives on.

    `load` and every call run on that thread, one after another. What they raise arrives at the caller: a `PatterError` as it is,
    anything else as the cause of one that names the model. After `aclose` the next call loads it again.

    >>> model = NativeModel("adder", lambda: 40)
    >>> asyncio.run(model.run(lambda loaded: loaded + 2))
    42
    """

    def __init__(self, name: str, load: Callable[[], Model], unload: Callable[[Model], None] | None = None) -> None:
        self._name = name
        self._load = load
        self._unload = unload
        self._loaded: Model | None = None
        self._thread: ThreadPoolExecutor | None = None

    async def run(self, call: Callable[[Model], Result]) -> Result:
        """`call(model)`, off the event loop."""
        return await self._on_thread(lambda: call(self._ready()))

    async def aclose(self) -> None:
        """Free the model once the call under way has ended."""
        if self._thread is None:
            return
        await self._on_thread(self._free)
        self._thread.shutdown(wait=False)
        self._thread = None

    def _ready(self) -> Model:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def _free(self) -> None:
        loaded, self._loaded = self._loaded, None
        if loaded is not None and self._unload is not None:
            self._unload(loaded)

    async def _on_thread(self, work: Callable[[], Result]) -> Result:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"patter-{self._name}")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except PatterError:
            raise
        except Exception as error:  # native libraries raise types of their own that share no base
            raise PatterError(f"The local model {self._name} failed: {error}", model=self._name) from error
