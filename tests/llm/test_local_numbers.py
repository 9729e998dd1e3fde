import pytest

from patter_nb.llm.local.numbers import duration, numbers


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("one hundred and ninety", [190]),
        ("send a hundred and twenty to table four", [120, 4]),
        ("five thousand", [5000]),
        ("twelve hundred", [1200]),
        ("twenty point five", [20.5]),
        ("1,250 and 19.5", [1250, 19.5]),
        ("two thirty", [230]),
        ("one seventy five", [175]),
        ("seventy five fifty", [75.5]),
        ("nine one one", [911]),
        ("table for three, six thirty", [3, 630]),
        ("two and a half", [2.5]),
        ("there is nothing to count here", []),
    ],
)
def test_the_usual_reading_comes_first(said: str, meant: list[float]) -> None:
    assert [number.readings[0] for number in numbers(said)] == meant


@pytest.mark.parametrize(
    ("said", "minutes"),
    [
        ("half an hour", 30),
        ("a quarter of an hour", 15),
        ("three quarters of an hour", 45),
        ("an hour and a half", 90),
        ("one and a half hours", 90),
        ("two hours ten minutes", 130),
        ("thirty seconds", 0.5),
        ("ten", None),
    ],
)
def test_a_duration_is_told_in_the_unit_asked_for(said: str, minutes: float | None) -> None:
    assert duration(said, "minute") == minutes


def test_a_number_knows_where_it_was_said() -> None:
    text = "set it to forty five please"
    (number,) = numbers(text)
    assert text[number.start : number.end] == "forty five"
