"""The public names are those that are declared: each resolves, each is listed once, in order, and no other is."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import patter_nb
from patter_nb import errors

SOURCE = ast.parse(Path(patter_nb.__file__).read_text("utf-8"))


@pytest.mark.parametrize("name", [name for name in patter_nb.__all__ if name != "__version__"])
def test_a_public_name_resolves_to_what_is_called_so(name: str) -> None:
    assert getattr(patter_nb, name).__name__ == name


def test_the_names_are_those_of_the_table_in_order_and_once() -> None:
    names = [name for name in patter_nb.__all__ if name != "__version__"]
    assert names == sorted(name for home in patter_nb._HOMES.values() for name in home)


def test_what_a_type_checker_sees_is_what_is_there() -> None:
    checked = next(node for node in SOURCE.body if isinstance(node, ast.If))
    seen = {(node.module, alias.name) for node in checked.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == {(home, name) for home, names in patter_nb._HOMES.items() for name in names}


def test_every_error_of_the_family_is_public() -> None:
    family = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.PatterError)}
    assert family == set(errors.__all__) <= set(patter_nb.__all__)


def test_dir_tells_the_names_before_they_are_used() -> None:
    code = "import patter_nb; names = dir(patter_nb); assert set(patter_nb.__all__) <= set(names), names"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="LocaLLM"):
        patter_nb.LocaLLM  # noqa: B018
