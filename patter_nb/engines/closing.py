"""Why a vendor ended a WebSocket: the handshake went well whatever the key, and the refusal is in the words of the close.

Seen of Google: 1007 "API key not valid. Please pass a valid API key.", 1008 "models/... is not found for API version v1beta, or is not
supported for bidiGenerateContent", 1011 "You exceeded your current quota, please check your plan and billing details."; of ElevenLabs: 1002
"This request exceeds your quota limit.", "The AI agent you are trying to reach appears to be misconfigured", 1008 for what the agent's
settings do not allow; of OpenAI: 3000 "invalid_request_error.invalid_api_key", 4000 "invalid_request_error.invalid_model".
"""

from __future__ import annotations

import re
from typing import Final

from patter_nb.wire.refusals import Refusal

__all__ = ["refusal_of_close"]

_MEANT: Final = (
    (re.compile(r"api[ _]key|unauthenticated|authentication", re.IGNORECASE), 401),
    (re.compile(r"quota|billing|credits?\b|payment", re.IGNORECASE), 402),
    (re.compile(r"\b(model|agent)s?\b.{0,80}(not found|not exist|not supported)|(invalid_model|model_not_found)", re.IGNORECASE), 404),
    (re.compile(r"rate.limit|too many", re.IGNORECASE), 429),
)
"""Words of the reason, and the status that they would have had over HTTP."""
_FORM: Final = (1002, 1003, 1007, 1008, 1009)
"""The other side did not take what it was told."""


def refusal_of_close(code: int, reason: str) -> Refusal | None:
    """What the end of a WebSocket means; None: no more than that it is over.

    >>> refusal_of_close(1007, "API key not valid. Please pass a valid API key.")
    Refusal(status=401, message='API key not valid. Please pass a valid API key.', code='1007', request_id=None, details=())
    >>> refusal_of_close(1011, "The service is currently unavailable.") is None
    True
    """
    status = next((status for words, status in _MEANT if words.search(reason)), 400 if code in _FORM and reason else None)
    return None if status is None else Refusal(status, reason, str(code))
