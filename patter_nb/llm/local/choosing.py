"""A model that is too small to decide: the tool is chosen by likeness, the model fills its arguments, templates speak the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import count, takewhile
from typing import Any, Final

from patter_nb.llm.base import FinishReason, LLMChunk, Message, ToolSpec
from patter_nb.llm.local import reply
from patter_nb.llm.local.candidates import stems
from patter_nb.llm.local.choose import Chooser
from patter_nb.llm.local.deciding import Deciding
from patter_nb.llm.local.encoder import Encoder, Reading, bare
from patter_nb.llm.local.judge import Judge
from patter_nb.llm.local.manners import Manners
from patter_nb.llm.local.runtime import Runtime
from patter_nb.llm.local.shown import with_values
from patter_nb.llm.local.slots import SlotFiller
from patter_nb.llm.local.strategy import Emit, Tally, text_of
from patter_nb.llm.local.toolview import ToolView, view

CHAT_TOKENS: Final = 60
_WORDS_AROUND_A_VALUE: Final = 2
_WITH_A_QUESTION: Final = 3
"""The request, our question, the answer to it."""


class Choosing:
    """Chooses a tool or none; without tools the model chats, briefly, as the toy it is."""

    def __init__(self, runtime: Runtime, encoder: Encoder, model: str) -> None:
        self._runtime = runtime
        self._encoder = encoder
        self._slots = SlotFiller(runtime, encoder)
        self._chooser = Chooser(encoder, self._slots, Judge(encoder))
        self._manners = Manners(encoder)
        self._known: dict[str, ToolView] = {}
        self._model = model
        self._chat = Deciding(runtime, model, max_tokens=CHAT_TOKENS)
        self._ids = count(1)

    def warm(self, tools: Sequence[ToolSpec]) -> None:
        for tool in self._views(tools):
            self._chooser.learn(tool)
            self._slots.learn(tool)

    def answer(self, messages: Sequence[Message], tools: Sequence[ToolSpec], emit: Emit) -> None:
        if messages and messages[-1].get("role") == "tool":
            self._say(_results(messages), Tally(), emit)
        elif not tools:
            self._chat.answer(messages, (), emit)
        else:
            self._act(messages, {tool.name: tool for tool in self._views(tools)}, emit)

    def _views(self, tools: Sequence[ToolSpec]) -> list[ToolView]:
        """The tools as they are chosen from."""
        return [self._view(json.dumps(tool, sort_keys=True, default=str), tool) for tool in tools]

    def _view(self, written: str, tool: ToolSpec) -> ToolView:
        if written not in self._known:
            self._known[written] = with_values(view(tool), self._encoder)
        return self._known[written]

    def _act(self, messages: Sequence[Message], tools: Mapping[str, ToolView], emit: Emit) -> None:
        said, tally = text_of(messages[-1]), Tally()
        request = self._encoder.read(bare(said))
        choice = self._chooser.choose(request, said, [*tools.values()])
        if choice is None or choice.missing:
            call = self._answered(request, messages, tools, tally) or self._continued(request, messages, tools)
            if call:
                self._call_or_ask(*call, tally, emit)
                return
        if choice is None:
            self._say(self._instead(request, tools), tally, emit)
            return
        self._call_or_ask(choice.tool, self._filled(choice.tool, request, tally), tally, emit)

    def _instead(self, request: Reading, tools: Mapping[str, ToolView]) -> str:
        """What is said where no tool is meant; one that is called by its name is asked for what it must know ("Set a timer.")."""
        called = _called_by_name(request, tools)
        missing = self._slots.guess(called, request).missing if called else ()
        return reply.ask_for(called, missing) if called and missing else reply.kindly(self._manners.of(request), [*tools.values()])

    def _filled(self, tool: ToolView, request: Reading, tally: Tally) -> dict[str, Any]:
        """What `request` says for the arguments of `tool`."""
        filled = self._slots.fill(tool, request)
        for completion in filled.completions:
            tally.add(completion)
        return filled.arguments

    def _call_or_ask(self, tool: ToolView, arguments: Mapping[str, Any], tally: Tally, emit: Emit) -> None:
        missing = [argument.name for argument in tool.arguments if argument.required and argument.name not in arguments]
        if missing:
            self._say(reply.ask_for(tool, missing), tally, emit)
        else:
            self._call(tool, arguments, tally, emit)

    def _answered(
        self, request: Reading, messages: Sequence[Message], tools: Mapping[str, ToolView], tally: Tally
    ) -> tuple[ToolView, dict[str, Any]] | None:
        """The tool that was asked about just before, with what `request` adds to what had been said for it."""
        if len(messages) < _WITH_A_QUESTION or messages[-2].get("role") != "assistant":
            return None
        if self._manners.of(request) is not None or text_of(messages[-1]).rstrip().endswith("?"):
            return None
        asked, before = text_of(messages[-2]), self._encoder.read(bare(text_of(messages[-3])))
        for tool in tools.values():
            if not asked.startswith(reply.question_of(tool)):
                continue
            arguments = self._filled(tool, before, tally)
            missing = [argument for argument in tool.arguments if argument.required and argument.name not in arguments]
            if missing and reply.ask_for(tool, [argument.name for argument in missing]) == asked:
                found = self._slots.fill_bare(tool, [argument.name for argument in missing], request)
                return (tool, {**arguments, **found}) if found else None
        return None

    def _continued(
        self, request: Reading, messages: Sequence[Message], tools: Mapping[str, ToolView]
    ) -> tuple[ToolView, dict[str, Any]] | None:
        """The tool called before, with another value ("and in Rome?"): where hardly more than the value is said."""
        calls = [call["function"] for message in messages for call in message.get("tool_calls") or ()]
        tool = tools.get(calls[-1]["name"]) if calls else None
        if tool is None:
            return None
        said = self._slots.named(tool, request)
        other = [place for place in request.places if not any(c.start <= place[0] and place[1] <= c.end for c in said.values())]
        if not said or len(other) > _WORDS_AROUND_A_VALUE:
            return None
        return tool, {**json.loads(calls[-1]["arguments"] or "{}"), **{name: candidate.value for name, candidate in said.items()}}

    def _call(self, tool: ToolView, arguments: Mapping[str, Any], tally: Tally, emit: Emit) -> None:
        emit(
            LLMChunk(
                "tool_call", index=0, id=f"local_{next(self._ids)}", name=tool.name, arguments=json.dumps(arguments, ensure_ascii=False)
            )
        )
        self._end("tool_calls", tally, emit)

    def _say(self, text: str, tally: Tally, emit: Emit) -> None:
        for number, word in enumerate(text.split()):
            emit(LLMChunk("text", content=f" {word}" if number else word))
        self._end("stop", tally, emit)

    def _end(self, reason: FinishReason, tally: Tally, emit: Emit) -> None:
        emit(tally.usage(self._model))
        emit(LLMChunk("done", finish_reason=reason))


def _called_by_name(request: Reading, tools: Mapping[str, ToolView]) -> ToolView | None:
    """The tool whose name is said, and hardly anything else."""
    said = stems(request.text)
    for tool in tools.values():
        name = stems(tool.spoken)
        if name <= said and len(request.places) <= len(name) + _WORDS_AROUND_A_VALUE:
            return tool
    return None


def _results(messages: Sequence[Message]) -> str:
    """The results at the end of `messages`, in a sentence each."""
    names = {call["id"]: call["function"]["name"] for message in messages for call in message.get("tool_calls") or ()}
    results = [*takewhile(lambda message: message.get("role") == "tool", reversed(messages))][::-1]
    return " ".join(reply.result(_name(message, names), text_of(message)) for message in results)


def _name(message: Message, names: Mapping[str, str]) -> str:
    return str(message.get("name") or names.get(str(message.get("tool_call_id")), ""))
