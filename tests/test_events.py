"""Events on the wire: what an error knows, every line of the log tells."""

from __future__ import annotations

from typing import Any

import pytest

from patter_nb.errors import AllProvidersFailed, PatterError, RateLimitError, TruncatedStream
from patter_nb.events import Dropped, TurnEnded, body_to_dict, error_to_dict


@pytest.mark.parametrize(
    ("error", "known"),
    [
        (PatterError("No.", provider="p", model="m", status=500, code="c", request_id="r", hint="h"),
         {"provider": "p", "model": "m", "status": 500, "code": "c", "request_id": "r", "hint": "h"}),
        (RateLimitError("Slow down.", retry_after_s=2.5), {"retry_after_s": 2.5}),
        (RateLimitError("Slow down."), {}),
        (TruncatedStream("It broke off.", partial_text="It is"), {"partial_text": "It is"}),
        (AllProvidersFailed("Both.", [RateLimitError("Slow down.", retry_after_s=1.0), OSError("down")]),
         {"errors": [{"type": "RateLimitError", "message": "Slow down.", "retry_after_s": 1.0}, {"type": "OSError", "message": "down"}]}),
    ],
)  # fmt: skip
def test_an_error_tells_what_it_knows(error: PatterError, known: dict[str, Any]) -> None:
    assert error_to_dict(error) == {"type": type(error).__name__, "message": error.message, **known}


def test_the_end_of_a_turn_tells_what_ended_it() -> None:
    assert body_to_dict(TurnEnded("completed")) == {"status": "completed", "error": None}
    assert body_to_dict(TurnEnded("failed", PatterError("No."))) == {"status": "failed", "error": {"type": "PatterError", "message": "No."}}


def test_what_belongs_to_no_epoch_claims_none() -> None:
    assert body_to_dict(Dropped("ToolFinished", None)) == {"what": "ToolFinished", "of_epoch": None}
