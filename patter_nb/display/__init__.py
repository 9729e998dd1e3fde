"""How each noun shows itself where no kernel runs: static HTML and SVG, and plain text for terminals.

A saved notebook, a page of a code-hosting site or a diff has no JavaScript, no network and often no styles, and still tells
what happened. Nouns come here by a one-line delegate, `_repr_mimebundle_`; Jupyter itself is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from patter_nb.agent import Agent
from patter_nb.audio.tracks import PcmTrack
from patter_nb.costs import Cost, Costs
from patter_nb.display.agent import agent_page, agent_text, provider_page, provider_text, role_of
from patter_nb.display.change import change_page, change_text
from patter_nb.display.costs import cost_page, cost_text, costs_page, costs_text
from patter_nb.display.error import error_card, error_text
from patter_nb.display.latency import latency_page, latency_text, spread_page, spread_text
from patter_nb.display.log import chunk_page, chunk_text, event_page, event_text, log_page, log_text
from patter_nb.display.markup import Html
from patter_nb.display.moment import moment_page, moment_text
from patter_nb.display.report import report_page, report_text
from patter_nb.display.request import request_page, request_text, requests_page, requests_text
from patter_nb.display.rows import calls_page, calls_text, chunks_page, chunks_text
from patter_nb.display.session import session_page, session_text
from patter_nb.display.sound import audio_page, audio_text, track_page, track_text
from patter_nb.display.spans import spans_page, spans_text
from patter_nb.display.style import page
from patter_nb.display.timeline import timeline_page, timeline_text
from patter_nb.display.tools import call_card, call_text, tool_page, tool_text
from patter_nb.display.turn import turn_page, turn_text, turns_list, turns_text
from patter_nb.display.waterfall import waterfall_page, waterfall_text
from patter_nb.doctor import Report
from patter_nb.errors import PatterError
from patter_nb.events import AgentChanged, Event
from patter_nb.latencies import Latency, Spread
from patter_nb.llm.base import LLMChunk
from patter_nb.log import Audio, Log
from patter_nb.sequences import Chunks, Requests, ToolCalls
from patter_nb.session import Session
from patter_nb.timeline import Moment, Timeline
from patter_nb.tools.tool import Tool
from patter_nb.tracing.span import Spans
from patter_nb.turn import LLMRequest, ToolCall, Turn
from patter_nb.turns import Turns
from patter_nb.waterfall import Waterfall

__all__ = ["mimebundle"]

_VIEWS: Mapping[type, tuple[Callable[[Any], str], Callable[[Any], Html]]] = {
    Agent: (agent_text, agent_page),
    Session: (session_text, session_page),
    Turn: (turn_text, turn_page),
    Turns: (turns_text, turns_list),
    ToolCall: (call_text, call_card),
    ToolCalls: (calls_text, calls_page),
    LLMRequest: (request_text, request_page),
    Requests: (requests_text, requests_page),
    Cost: (cost_text, cost_page),
    Costs: (costs_text, costs_page),
    Tool: (tool_text, tool_page),
    Event: (event_text, event_page),
    AgentChanged: (change_text, change_page),
    Log: (log_text, log_page),
    LLMChunk: (chunk_text, chunk_page),
    Chunks: (chunks_text, chunks_page),
    PatterError: (error_text, error_card),
    PcmTrack: (track_text, track_page),
    Audio: (audio_text, audio_page),
    Report: (report_text, report_page),
    Waterfall: (waterfall_text, waterfall_page),
    Latency: (latency_text, latency_page),
    Spread: (spread_text, spread_page),
    Timeline: (timeline_text, timeline_page),
    Moment: (moment_text, moment_page),
    Spans: (spans_text, spans_page),
}
"""Each noun in words and as markup; a subclass shows itself as its base does."""


def mimebundle(thing: object) -> dict[str, str]:
    """`thing` by MIME type: always "text/plain", and "text/html" for every noun of this package and for providers.

    The HTML stands alone (no script, no external resource), escapes all foreign text, and stays under 100 kB: longer values are
    folded, then cut, and say by how much. No key is ever in it. An unknown thing gets its repr.
    """
    for kind, (in_words, as_markup) in _VIEWS.items():
        if isinstance(thing, kind):
            return {"text/plain": in_words(thing), "text/html": str(page(as_markup(thing)))}
    if role_of(thing) is not None and not isinstance(thing, type):
        return {"text/plain": provider_text(thing), "text/html": str(page(provider_page(thing)))}
    return {"text/plain": repr(thing)}
