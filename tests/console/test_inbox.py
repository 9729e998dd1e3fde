"""Sound from pages, in order: whatever order messages come in, frames leave once, numbered without gaps, and as late as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patter_nb.console.inbox import LINES, WAITS_FOR, Inbox, Sound
from patter_nb.console.page_clock import PageClock


def sound(seq: int, *, opening: int = 1, sent_ms: float | None = None, frames: int = 2, sender: str = "page") -> Sound:
    pcm = np.concatenate([np.full(320, seq + at, np.int16) for at in range(frames)])
    return Sound(seq, opening, seq * 20.0 if sent_ms is None else sent_ms, pcm, sender)


def values(frames: list[object]) -> list[int]:
    return [int(frame.pcm[0]) for frame in frames]  # type: ignore[attr-defined]


@given(st.permutations(range(12)))
def test_messages_in_any_order_give_the_same_frames(order: list[int]) -> None:
    inbox, frames = Inbox(), []
    for at in order:
        frames += inbox.take(sound(2 * at), 0.0, 0.0)
    assert values(frames) == list(range(24))
    assert [frame.seq for frame in frames] == list(range(24))
    assert [frame.capture_ms for frame in frames] == [20.0 * n for n in range(24)]
    assert inbox.lost == 0


def test_a_message_that_comes_twice_is_heard_once() -> None:
    inbox = Inbox()
    assert values([frame for seq in (0, 0, 2, 0, 2) for frame in inbox.take(sound(seq), 0.0, 0.0)]) == [0, 1, 2, 3]


def test_a_missing_message_is_waited_for_and_then_lost() -> None:
    inbox = Inbox()
    inbox.take(sound(0), 0.0, 0.0)
    for at in range(WAITS_FOR):
        assert not inbox.take(sound(4 + 2 * at), 0.0, 0.0)
    frames = inbox.take(sound(4 + 2 * WAITS_FOR), 0.0, 0.0)
    assert values(frames) == list(range(4, 6 + 2 * WAITS_FOR))
    assert [frame.seq for frame in frames] == list(range(2, 4 + 2 * WAITS_FOR))
    assert inbox.lost == 2


def test_a_microphone_opened_anew_goes_on_in_the_same_stream() -> None:
    inbox = Inbox()
    last_words_overtaken = sound(4)
    messages = (sound(0), sound(2), sound(0, opening=2), last_words_overtaken, sound(2, opening=2))
    frames = [frame for message in messages for frame in inbox.take(message, 0.0, 0.0)]
    assert values(frames) == [0, 1, 2, 3, 0, 1, 4, 5, 2, 3]
    assert [frame.seq for frame in frames] == list(range(10))


def test_what_waited_for_a_lost_message_is_heard_before_a_microphone_that_is_opened_anew() -> None:
    inbox = Inbox()
    messages = (sound(0), sound(4), sound(0, opening=2), sound(2), sound(2, opening=2))
    frames = [frame for message in messages for frame in inbox.take(message, 0.0, 0.0)]
    assert values(frames) == [0, 1, 4, 5, 0, 1, 2, 3]
    assert (inbox.lost, inbox.opened) == (2, 2)


def test_however_often_it_is_opened_little_is_remembered() -> None:
    inbox = Inbox()
    for opening in range(100):
        for at in range(3):
            assert len(inbox.take(sound(2 * at, opening=opening), 0.0, 0.0)) == 2
        assert len(inbox.take(sound(2 * opening, opening=-1), 0.0, 0.0)) == 2, "one that goes on is not forgotten"
    assert inbox.opened == 101
    assert inbox.lost == 0
    assert len(inbox._lines) <= LINES


def test_lateness_is_what_the_clocks_differ_by_more_than_at_best() -> None:
    inbox = Inbox()
    assert [frame.late_ms for frame in inbox.take(sound(0, sent_ms=1_000_040.0), 50.0, 50.0)] == [0.0, 0.0]
    assert [frame.late_ms for frame in inbox.take(sound(2, sent_ms=1_000_080.0), 35_090.0, 35_100.0)] == [35_010.0, 35_010.0]
    assert [frame.late_ms for frame in inbox.take(sound(4, sent_ms=1_035_000.0), 35_090.0, 35_100.0)] == [90.0, 90.0]


def test_senders_have_clocks_of_their_own() -> None:
    inbox = Inbox()
    inbox.take(sound(0, sent_ms=1_000_000.0), 50.0, 50.0)
    recording = inbox.take(sound(0, opening=-1, sent_ms=60.0, sender="a recorder"), 60.0, 70.0)
    assert [frame.late_ms for frame in recording] == [10.0, 10.0]


def test_what_a_page_said_before_tells_how_late_its_first_sound_is() -> None:
    inbox = Inbox()
    inbox.clock("page").heard(1_000_000.0, 50.0)
    assert [frame.late_ms for frame in inbox.take(sound(0, sent_ms=1_001_000.0), 9_050.0, 9_050.0)] == [8_000.0, 8_000.0]


def test_a_frame_that_may_be_echo_is_marked() -> None:
    message = Sound(0, 1, 0.0, np.zeros(640, np.int16), echo=(False, True))
    assert [frame.echo for frame in Inbox().take(message, 0.0, 0.0)] == [False, True]


def test_a_frame_is_as_late_as_its_last_sample_and_not_as_its_message() -> None:
    inbox = Inbox()
    inbox.clock("page").heard(1_000_000.0, 0.0)
    message = replace(sound(0, sent_ms=1_000_043.0), captured_ms=1_000_000.0)
    assert [frame.late_ms for frame in inbox.take(message, 45.0, 50.0)] == [30.0, 10.0]


def test_clocks_are_compared_by_the_quickest_signs_each_way() -> None:
    clock = PageClock()
    assert clock.here(7.0) == 7.0, "nothing is known yet"
    clock.heard(0.0, 1040.0)
    assert clock.apart_ms == 1040.0, "as long as nothing came back"
    clock.told(1100.0, 180.0)  # slow there
    clock.told(1200.0, 204.0)
    clock.heard(300.0, 1304.0)
    assert clock.apart_ms == 1000.0
    assert clock.here(500.0) == 1500.0


def test_clocks_that_drift_apart_are_compared_anew() -> None:
    clock = PageClock()
    clock.heard(0.0, 1002.0)
    clock.told(1010.0, 12.0)
    assert clock.apart_ms == 1000.0
    for minute in range(1, 30):  # the page's clock loses 6 ms a minute
        at = minute * 60_001.0
        clock.heard(at - 6.0 * minute, at + 1002.0)
        if minute % 3 == 0:
            clock.told(at + 1010.0, at + 12.0 - 6.0 * minute)
        assert clock.apart_ms == pytest.approx(1000.0 + 6.0 * minute, abs=9.0)


@given(st.lists(st.tuples(st.floats(0, 400), st.floats(0, 400)), min_size=1))
def test_what_two_clocks_differ_by_is_never_wrong_by_more_than_half_of_the_quickest_exchange(ways: list[tuple[float, float]]) -> None:
    clock = PageClock()
    for number, (up_ms, down_ms) in enumerate(ways):
        clock.heard(10.0 * number, 10.0 * number + 5000.0 + up_ms)
        clock.told(10.0 * number + 5000.0, 10.0 * number + down_ms)
    quickest = min(up for up, _ in ways) + min(down for _, down in ways)
    assert abs(clock.apart_ms - 5000.0) <= quickest / 2 + 0.001
