"""Text that was cut inside a character comes out whole, and always encodable."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from patter_nb.llm.wire.surrogates import Joiner


@given(st.text(), st.lists(st.integers(0, 400), max_size=10))
def test_a_text_cut_by_utf_16_units_is_joined(text: str, cuts: list[int]) -> None:
    units = text.encode("utf-16-le", "surrogatepass")
    places = [0, *sorted(min(2 * cut, len(units)) for cut in cuts), len(units)]
    pieces = [units[start:stop].decode("utf-16-le", "surrogatepass") for start, stop in pairwise(places)]
    joiner = Joiner()
    assert "".join([*map(joiner.take, pieces), joiner.rest()]) == text


@given(st.lists(st.text(st.characters(min_codepoint=0xD7F0, max_codepoint=0xE010)), max_size=8))
def test_whatever_comes_can_be_encoded(pieces: list[str]) -> None:
    joiner = Joiner()
    "".join([*map(joiner.take, pieces), joiner.rest()]).encode()
