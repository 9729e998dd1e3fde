"""Real kernels of several releases of ipykernel, with the test in the place of the browser.

The environments are kept in $PATTER_TEST_ENVS, or in pytest's cache.

    @pytest.mark.parametrize("version", VERSIONS)
    async def test_it(kernel: OpenKernel, version: str) -> None:
        page = await kernel(version)
        await page.run("import mine; mine.show()")
        (await page.widget("Mine")).send({"kind": "hello"}, b"...")
"""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from kernel_envs import python_with
from kernel_page import KernelPage, OpenKernel, OpenPage, running_kernel


@pytest.fixture(scope="session")
def python_of(pytestconfig: pytest.Config) -> Callable[[str], Path]:
    """The Python that has a release of ipykernel; made where it is missing."""
    given = os.environ.get("PATTER_TEST_ENVS")
    envs = Path(given) if given else pytestconfig.cache.mkdir("kernel-envs")
    envs.mkdir(parents=True, exist_ok=True)
    return lambda version: python_with(version, envs)


@pytest.fixture
async def kernel(python_of: Callable[[str], Path], tmp_path: Path) -> AsyncIterator[OpenKernel]:
    """Starts kernels."""
    number = itertools.count()
    async with AsyncExitStack() as stack:

        async def open(version: str, *, subshell: bool = True) -> KernelPage:
            python = python_of(version)
            return await stack.enter_async_context(running_kernel(python, tmp_path / f"kernel-{next(number)}", subshell=subshell))

        yield open


@pytest.fixture
async def another_page() -> AsyncIterator[OpenPage]:
    """Opens another page on a running kernel; ask for it after `kernel`, so that it is closed before."""
    async with AsyncExitStack() as stack:

        async def open(page: KernelPage, *, subshell: bool = True) -> KernelPage:
            another = KernelPage(page.connection_file)
            stack.push_async_callback(another.close)
            await another.open(subshell=subshell)
            await another.restore()
            return another

        yield open
