"""What every test may rely on: the local models are there before a test that loads them runs."""

from __future__ import annotations

import os

import pytest

from patter_nb.downloads import ensure_local_models
from patter_nb.patter import KEYS

for _key in KEYS:
    os.environ.pop(_key, None)  # a developer's key is not to be spent by a test

collect_ignore_glob = ["*conftest.py"]
"""There are several, and none holds a doctest."""


@pytest.fixture(scope="session")
def local_models() -> None:
    """The models of the local stack, fetched where they are missing; what stands in the way of that fails the test."""
    ensure_local_models()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("models"):
            item.fixturenames.insert(0, "local_models")  # type: ignore[attr-defined]  # tests written as functions have it
