import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patter_nb.audio.frames import Frame
from patter_nb.audio.resampling import resample
from patter_nb.stt.base import Word
from patter_nb.stt.wire.sounding import Pieces, Timeline
from patter_nb.stt.wire.told import Interim, Segment, Utterance


@given(st.lists(st.integers(0, 700), max_size=20), st.sampled_from([8_000, 16_000, 24_000]), st.sampled_from([20, 60, 100]))
def test_pieces_are_whole_but_the_last_and_hold_all_sound(lengths: list[int], rate: int, piece_ms: int) -> None:
    pieces = Pieces(16_000, rate, piece_ms=piece_ms, shortest_ms=20)
    pcm = np.arange(sum(lengths), dtype=np.int16)
    whole: list[bytes] = []
    place = 0
    for length in lengths:
        whole += pieces.push(pcm[place : place + length])
        place += length
    rest, silence_ms = pieces.flush()
    size = rate * piece_ms // 1000 * 2
    assert {len(piece) for piece in whole} <= {size}
    assert all(len(piece) == size for piece in rest[:-1])
    assert all(rate * 20 // 1000 * 2 <= len(piece) <= size for piece in rest[-1:])
    sent = np.frombuffer(b"".join([*whole, *rest]), "<i2")
    expected = resample(pcm, 16_000, rate) if len(pcm) else pcm
    assert np.array_equal(sent[: len(expected)], expected)
    assert not np.any(sent[len(expected) :])
    assert len(sent) - len(expected) == pytest.approx(silence_ms * rate / 1000)


def test_after_a_flush_a_new_stream_begins() -> None:
    pieces = Pieces(16_000, 16_000, piece_ms=100, shortest_ms=0)
    assert pieces.push(np.ones(320, np.int16)) == []
    assert pieces.flush() == ([b"\x01\x00" * 320], 0.0)
    assert pieces.flush() == ([], 0.0)


def frame(seq: int, samples: int = 320) -> Frame:
    return Frame(np.zeros(samples, np.int16), seq, seq * 20.0)


def test_a_place_in_the_sound_is_found_on_the_capture_clock() -> None:
    timeline = Timeline(16_000)
    for seq in (*range(10, 15), *range(40, 45)):
        timeline.push(frame(seq))
    assert [timeline.captured_ms(ms) for ms in (0, 50, 99, 100, 150, 200)] == [200, 250, 299, 800, 850, 900]


def test_silence_that_nobody_captured_moves_nothing() -> None:
    timeline = Timeline(16_000)
    timeline.push(frame(0))
    timeline.pad(80)
    timeline.push(frame(1))
    assert timeline.sent_ms == 120.0
    assert timeline.captured_ms(110) == 30.0


def test_a_new_connection_is_on_the_same_clock() -> None:
    timeline = Timeline(16_000)
    timeline.push(frame(100))
    assert timeline.captured_ms(5) == 2005.0


def test_a_vendors_seconds_leave_no_tail_of_nines_and_no_sample_out() -> None:
    timeline = Timeline(16_000)
    timeline.push(frame(1))
    (word,) = timeline.placed([Word("it", 0.0023125 * 1000, 0.57 * 1000)])
    assert (word.start_ms, word.stop_ms) == (22.3125, 590.0)


def test_a_word_keeps_its_length_and_may_have_no_time() -> None:
    timeline = Timeline(16_000)
    for seq in (0, 1, 50):
        timeline.push(frame(seq))
    words = (Word("across", 30.0, 50.0, 0.5), Word("untimed"), Word("endless", 41.0))
    assert timeline.placed(words) == (Word("across", 30.0, 50.0, 0.5), Word("untimed"), Word("endless", 1001.0))


def test_an_utterance_is_its_segments_and_the_interim_text() -> None:
    utterance = Utterance()
    assert utterance.text == ""
    utterance.take(Interim("what"))
    utterance.take(Segment("What is", (Word("What"), Word("is")), 0.5))
    utterance.take(Segment("", (), None))
    utterance.take(Interim("the weather"))
    assert utterance.text == "What is the weather"
    utterance.take(Segment(" the weather? "))
    utterance.take(Segment("Yes", (Word("Yes"),), 0.8))
    final = utterance.final()
    assert (final.text, final.is_final, [word.text for word in final.words]) == ("What is the weather? Yes", True, ["What", "is", "Yes"])
    assert final.confidence == pytest.approx((0.5 * 2 + 0.8) / 3)


def test_texts_that_bring_their_spaces_are_put_together_as_they_are() -> None:
    utterance = Utterance("")
    for text in (" Buon", "giorno", " a tutti"):
        utterance.take(Segment(text))
    assert utterance.text == "Buongiorno a tutti"
