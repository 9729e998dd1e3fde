import numpy as np
import pytest

from patter_nb.audio.level import SILENCE_DB, NoiseFloor, level_db


@pytest.mark.parametrize(
    ("amplitude", "expected"),
    [(0, SILENCE_DB), (1, -90.3), (327, -40.0), (16384, -6.0), (-32768, 0.0)],
    ids=["silence", "one", "1 %", "half", "full"],
)
def test_level_in_db_below_full_scale(amplitude: int, expected: float) -> None:
    assert level_db(np.full(320, amplitude, np.int16)) == pytest.approx(expected, abs=0.05)


def test_no_samples_are_silence() -> None:
    assert level_db(np.empty(0, np.int16)) == SILENCE_DB


def test_the_floor_falls_fast() -> None:
    floor = NoiseFloor(-80)
    floor.follow(-50)
    levels = [floor.follow(-70) for _ in range(20)]
    assert levels[0] == pytest.approx(-56)
    assert levels[-1] == pytest.approx(-70, abs=0.1)


def test_the_floor_rises_by_3_db_a_second() -> None:
    floor = NoiseFloor(-80)
    floor.follow(-60)
    levels = [floor.follow(-20) for _ in range(50)]
    assert levels[-1] == pytest.approx(-57)


def test_the_floor_stops_at_the_level_it_follows() -> None:
    floor = NoiseFloor(-80)
    floor.follow(-60)
    assert [floor.follow(-59) for _ in range(1000)][-1] == -59


def test_a_stream_that_begins_loud_is_not_taken_for_the_room() -> None:
    assert NoiseFloor(-80).follow(-10) == -50


def test_the_floor_never_goes_below_its_lowest() -> None:
    floor = NoiseFloor(-62)
    assert floor.follow(SILENCE_DB) == -62
    assert floor.follow(SILENCE_DB) == -62
