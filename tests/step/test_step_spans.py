"""Spans of random walks: whatever the order of things, each ends once, within its parent, and none begins in what is over."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from test_step_properties import ACTS, FIRSTS, walked
from test_step_properties import walks as many

from patter_nb.events import Body, Event, LLMChunked, SessionStopped, SpeechUsed
from patter_nb.llm.base import LLMChunk
from patter_nb.tracing import spans
from patter_nb.tracing.fold import Fold

sys.path.insert(0, str(Path(__file__).parent.parent / "tracing"))
from span_rules import Witness, assert_sound

walks = settings(many, max_examples=100)

LATE: list[Body] = [
    SpeechUsed("stt", "ears", None, True, seconds=1.0),
    SpeechUsed("tts", "mouth", "one", True, characters=3),
    LLMChunked(1, LLMChunk("usage", input_tokens=1, output_tokens=1)),
]
"""What is booked whenever it is known."""
BOOKED = st.lists(st.tuples(st.integers(0, 400), st.sampled_from(LATE)), max_size=8)


def events_of(first: str, plays: bool, acts: list[tuple[int, int]], booked: list[tuple[int, Body]]) -> list[Event]:
    """The log of a walk that is stopped in the middle, a millisecond between events, with bookings of turns that there were."""
    walk = walked(first, plays, acts)
    walk.edge.stop()
    told = list(walk.edge.events)
    end = next(place for place, (_, body) in enumerate(told) if isinstance(body, SessionStopped))
    for place, body in booked:
        at = 1 + place % end
        began = [turn for turn, _ in told[:at] if turn in walk.edge.turns]
        asked = [turn for turn, before in told[:at] if before.type == "llm_requested" and turn in walk.edge.turns]
        if isinstance(body, SpeechUsed):
            told.insert(at, (began[-1] if began and body.stage == "tts" else None, body))
            end += 1
        elif asked and any(before.type == "turn_started" and turn == asked[-1] for turn, before in told[:at]):
            told.insert(at, (asked[-1], body))
            end += 1
    return [Event(seq, float(seq), seq / 1000, 0, turn, body) for seq, (turn, body) in enumerate(told)]


@walks
@given(FIRSTS, st.booleans(), ACTS, BOOKED)
def test_every_span_ends_within_its_parent(first: str, plays: bool, acts: list[tuple[int, int]], booked: list[tuple[int, Body]]) -> None:
    events = events_of(first, plays, acts, booked)
    made = spans(events)
    assert_sound(made)
    turns = [event.turn for event in events if event.body.type in ("turn_started", "turn_accepted")]
    assert sorted(span.attributes["patter.turn.id"] for span in made.named("invoke_agent")) == sorted(turns)
    asked = [event for event in events if event.body.type in ("llm_requested", "tool_called")]
    assert len(made.named("chat")) + len(made.named("execute_tool")) == len(asked)


@walks
@given(FIRSTS, st.booleans(), ACTS, BOOKED)
def test_they_are_told_of_in_order_and_are_what_they_were_when_they_ended(
    first: str, plays: bool, acts: list[tuple[int, int]], booked: list[tuple[int, Body]]
) -> None:
    events = events_of(first, plays, acts, booked)
    witness = Witness()
    fold = Fold("main", 0, witness)
    for event in events:
        ended = len(witness.ended_spans)
        fold.fold(event)
        if len(witness.ended_spans) > ended:
            assert_sound([*witness.ended_spans, *(span.snapshot() for span in witness.open)], over=False)
    assert not witness.open
    assert sorted(witness.ended_spans, key=lambda span: span.id) == sorted(spans(events), key=lambda span: span.id)
