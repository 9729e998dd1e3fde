"""A model that is too small to decide: the tool is chosen by likeness, the model fills its arguments, templates speak the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import count, takewhile
from typing import Any, Final

import numpy as np

from patter_nb.llm.base import FinishReason, LLMChunk, Message, ToolSpec
from patter_nb.llm.local import reply
from patter_nb.llm.local.choose import Chooser, fitted
from patter_nb.llm.local.deciding import Deciding
from patter_nb.llm.local.encoder import Encoder, Matrix, Reading, as_sentence, bare
from patter_nb.llm.local.runtime import Runtime
from patter_nb.llm.local.slots import SlotFiller
from patter_nb.llm.local.strategy import Emit, Tally, text_of
from patter_nb.llm.local.toolview import ToolView, view

CHAT_TOKENS: Final = 60
_WORDS_AROUND_A_VALUE: Final = 2


class Choosing:
    """Chooses a tool or none; without tools the model chats, briefly, as the toy it is."""

    def __init__(self, runtime: Runtime, encoder: Encoder, model: str, *, state_is_known: bool) -> None:
        self._runtime = runtime
        self._encoder = encoder
        self._slots = SlotFiller(runtime, encoder)
        self._chooser = Chooser(encoder, self._slots, fitted(with_state=state_is_known))
        self._state_is_known = state_is_known
        self._model = model
        self._chat = Deciding(runtime, model, max_tokens=CHAT_TOKENS)
        self._ids = count(1)

    def warm(self, tools: Sequence[ToolSpec]) -> None:
        for tool in map(view, tools):
            self._chooser.learn(tool)
            self._slots.learn(tool)

    def answer(self, messages: Sequence[Message], tools: Sequence[ToolSpec], emit: Emit) -> None:
        if messages and messages[-1].get("role") == "tool":
            self._say(_results(messages), Tally(), emit)
        elif not tools:
            self._chat.answer(messages, (), emit)
        else:
            self._act(messages, {tool.name: tool for tool in map(view, tools)}, emit)

    def _act(self, messages: Sequence[Message], tools: Mapping[str, ToolView], emit: Emit) -> None:
        said, tally = text_of(messages[-1]), Tally()
        request = self._encoder.read(bare(said))
        choice = self._chooser.choose(request, self._put(as_sentence(said), tally), [*tools.values()])
        if choice is None or not choice.complete:
            tool, arguments = self._continued(request, messages, tools)
            if tool:
                self._call(tool, arguments, tally, emit)
                return
        if choice is None:
            self._say(reply.abilities([*tools.values()]), tally, emit)
            return
        filled = self._slots.fill(choice.tool, request)
        for completion in filled.completions:
            tally.add(completion)
        if filled.missing:
            self._say(reply.ask_for(choice.tool, filled.missing), tally, emit)
        else:
            self._call(choice.tool, filled.arguments, tally, emit)

    def _continued(
        self, request: Reading, messages: Sequence[Message], tools: Mapping[str, ToolView]
    ) -> tuple[ToolView | None, dict[str, Any]]:
        """The tool called before, with another value ("and in Rome?"): where hardly more than the value is said."""
        calls = [call["function"] for message in messages for call in message.get("tool_calls") or ()]
        tool = tools.get(calls[-1]["name"]) if calls else None
        if tool is None:
            return None, {}
        said = self._slots.named(tool, request)
        other = [place for place in request.places if not any(c.start <= place[0] and place[1] <= c.end for c in said.values())]
        if not said or len(other) > _WORDS_AROUND_A_VALUE:
            return None, {}
        return tool, {**json.loads(calls[-1]["arguments"] or "{}"), **{name: candidate.value for name, candidate in said.items()}}

    def _call(self, tool: ToolView, arguments: Mapping[str, Any], tally: Tally, emit: Emit) -> None:
        emit(
            LLMChunk(
                "tool_call", index=0, id=f"local_{next(self._ids)}", name=tool.name, arguments=json.dumps(arguments, ensure_ascii=False)
            )
        )
        self._end("tool_calls", tally, emit)

    def _put(self, sentence: str, tally: Tally) -> Matrix:
        """How a request is put, with the model's own state where the chooser was fitted on such."""
        manner = self._encoder.read(sentence).manner
        if not self._state_is_known:
            return manner
        state = self._runtime.state(sentence)
        tally.input += state.tokens
        return np.concatenate([manner, state.vector])

    def _say(self, text: str, tally: Tally, emit: Emit) -> None:
        for number, word in enumerate(text.split()):
            emit(LLMChunk("text", content=f" {word}" if number else word))
        self._end("stop", tally, emit)

    def _end(self, reason: FinishReason, tally: Tally, emit: Emit) -> None:
        emit(tally.usage(self._model))
        emit(LLMChunk("done", finish_reason=reason))


def _results(messages: Sequence[Message]) -> str:
    """The results at the end of `messages`, in a sentence each."""
    names = {call["id"]: call["function"]["name"] for message in messages for call in message.get("tool_calls") or ()}
    results = [*takewhile(lambda message: message.get("role") == "tool", reversed(messages))][::-1]
    return " ".join(reply.result(_name(message, names), text_of(message)) for message in results)


def _name(message: Message, names: Mapping[str, str]) -> str:
    return str(message.get("name") or names.get(str(message.get("tool_call_id")), ""))
