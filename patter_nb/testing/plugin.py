"""pytest's plugin: the fixture `patter_session`, and a switch that keeps tests on this machine.

pytest loads it for every project, so that whatever it needs of the package is imported only by a test that uses it.
"""

from __future__ import annotations

import inspect
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from patter_nb.testing.served import PatterSession

BLOCK = "patter_block_real_requests"

_SERVED: pytest.StashKey[PatterSession] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(BLOCK, "fail what a test sends to another machine (patter_nb.testing.block_real_requests)", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    about = "fail what the test sends to another machine; patter_block_real_requests(False) lets it, where the option of that name is on."
    config.addinivalue_line("markers", f"{BLOCK}(on=True): {about}")


@pytest.fixture
def patter_session(request: pytest.FixtureRequest) -> PatterSession:
    """Serve agents to an async test, to be typed to: `session = await patter_session(agent, llm=ScriptedLLM(["Hello."]))`.

    Any part of the agent may be given anew. The sessions are stopped at the end of the test, the scripted doubles in them verified, and
    a test that fails shows what was said. It needs what runs async tests: pytest-asyncio, or anyio with asyncio.
    """
    from patter_nb.testing.served import PatterSession

    is_async = inspect.iscoroutinefunction(request.function)
    served = request.node.stash[_SERVED] = PatterSession(request.node.name, is_async=is_async)
    return served


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    if not _is_blocked(item):
        return (yield)
    from patter_nb.testing.no_requests import block_real_requests

    with block_real_requests():
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    __tracebackhide__ = True
    served = item.stash.get(_SERVED, None)
    if served is None or not isinstance(item, pytest.Function):
        return (yield)
    test = item.obj
    if inspect.iscoroutinefunction(test):
        item.obj = served.around(test)
    try:
        return (yield)
    finally:
        item.obj = test
        item.add_report_section("call", "conversation", served.told())


def _is_blocked(item: pytest.Item) -> bool:
    marker = item.get_closest_marker(BLOCK)
    if marker is None:
        return bool(item.config.getini(BLOCK))
    return bool((*marker.args, *marker.kwargs.values(), True)[0])
