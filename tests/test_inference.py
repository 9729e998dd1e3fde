import asyncio
import os
import sys
import threading
from collections.abc import Callable

import pytest

from patter_nb.errors import MissingExtra, ModelNotFound, PatterError
from patter_nb.inference import NativeModel, import_native, inference_threads


def test_one_core_is_left_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert inference_threads() == 7
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert inference_threads() == 1


def test_without_affinity_the_machine_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert inference_threads() == 3


def test_telemetry_is_off_before_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    assert import_native("wave", "a test").__name__ == "wave"
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"


def test_a_missing_package_names_extra_and_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "piper", None)
    with pytest.raises(MissingExtra, match=r"PiperTTS needs the package piper.*patter-nb\[local\]"):
        import_native("piper", "PiperTTS")


def thread_of(_: object) -> tuple[int, str]:
    return threading.get_ident(), threading.current_thread().name


async def test_a_model_lives_on_one_thread_that_is_not_the_loops() -> None:
    model = NativeModel("clock", threading.get_ident)
    loaded_on = await model.run(lambda thread: thread)
    threads = await asyncio.gather(*(model.run(thread_of) for _ in range(5)))
    await model.aclose()
    assert set(threads) == {(loaded_on, "patter-clock_0")}
    assert loaded_on != threading.get_ident()


async def test_calls_run_one_after_another_also_when_the_first_is_given_up() -> None:
    steps: list[str] = []
    begun, go = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(_: object) -> None:
        loop.call_soon_threadsafe(begun.set)
        go.wait()
        steps.append("slow ended")

    model = NativeModel("slow", lambda: True)
    first = asyncio.create_task(model.run(slow))
    await begun.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.create_task(model.run(lambda _: steps.append("second")))
    go.set()
    await second
    await model.aclose()
    assert steps == ["slow ended", "second"]


async def test_after_aclose_the_model_is_freed_and_loaded_anew() -> None:
    steps: list[str] = []

    def load() -> str:
        steps.append("load")
        return "model"

    model = NativeModel("phoenix", load, lambda loaded: steps.append(f"free {loaded}"))
    await model.aclose()
    await model.run(len)
    await model.run(len)
    await model.aclose()
    await model.aclose()
    assert await model.run(str.upper) == "MODEL"
    await model.aclose()
    assert steps == ["load", "free model", "load", "free model"]


def raising(error: Exception) -> Callable[[object], None]:
    def call(_: object) -> None:
        raise error

    return call


async def test_what_native_code_raises_travels_as_the_cause() -> None:
    model, cause = NativeModel("glass", lambda: True), ArithmeticError("broken")
    with pytest.raises(PatterError, match="local model glass failed: broken") as caught:
        await model.run(raising(cause))
    assert caught.value.__cause__ is cause
    assert caught.value.model == "glass"
    await model.aclose()


async def test_our_own_errors_travel_as_they_are() -> None:
    missing = ModelNotFound("gone")
    model: NativeModel[object] = NativeModel("gone", lambda: raising(missing)(None))
    for _ in range(2):
        with pytest.raises(ModelNotFound) as caught:
            await model.run(id)
        assert caught.value is missing
    await model.aclose()
