"""What every test may rely on: the local models are there before a test that loads them runs, and no waterfall is wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator

import parts_sum
import pytest

from patter_nb.downloads import ensure_local_models
from patter_nb.patter import KEYS

for _key in KEYS:
    os.environ.pop(_key, None)  # a developer's key is not to be spent by a test

collect_ignore_glob = ["*conftest.py"]
"""There are several, and none holds a doctest."""


@pytest.fixture(scope="session", autouse=True)
def all_turns_kept() -> Iterator[None]:
    """Every session's turns are kept until the end of its test."""
    with pytest.MonkeyPatch.context() as patch:
        parts_sum.keep_all(patch)
        yield


@pytest.fixture(autouse=True)
def parts_sum_to_the_gap(all_turns_kept: None) -> Iterator[None]:
    """Whatever a test is about: of every turn that came about in it the waterfall's parts sum to the gap."""
    parts_sum.made.clear()
    yield
    for turns in parts_sum.made:
        parts_sum.check_all(turns)
    parts_sum.made.clear()


@pytest.fixture(scope="session")
def local_models() -> None:
    """The models of the local stack, fetched where they are missing; what stands in the way of that fails the test."""
    ensure_local_models()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("models"):
            # not into the list that is there: the other rows of the same test have it too
            item.fixturenames = ["local_models", *item.fixturenames]  # type: ignore[attr-defined]  # tests written as functions have it
