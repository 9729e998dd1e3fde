"""An agent as its description, a provider as its name and its part. Of a provider nothing is read but its name: keys live in the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from patter_nb.agent import Agent, Guardrail
from patter_nb.display.figures import count, duration
from patter_nb.display.markup import Html, fold, foreign, join, left_out, line, tag
from patter_nb.display.tools import signature
from patter_nb.llm.base import name_of
from patter_nb.pipeline.turn_taking import TurnTaking
from patter_nb.tools.tool import Tool

__all__ = ["STAGES", "agent_page", "agent_text", "provider_page", "provider_text", "role_of", "stages"]

STAGES = {"engine": "engine", "stt": "hears", "llm": "thinks", "tts": "speaks", "vad": "notices voice"}
"""Each stage by what it does for the person, in the order of a turn."""

_METHODS = {"llm": ("stream",), "stt": ("push", "transcripts", "finalize"), "tts": ("synthesize",), "vad": ("probability", "reset")}
_ITEMS_SHOWN = 30


def role_of(thing: object) -> str | None:
    """What a provider does, told by its methods; None for what is no provider. Its properties are not touched: one may load a model."""
    return next((STAGES[stage] for stage, methods in _METHODS.items() if all(hasattr(type(thing), name) for name in methods)), None)


def provider_text(provider: object) -> str:
    """Its class, name and model."""
    return f"<{type(provider).__name__}: {line(_name(provider), 200)}>"


def provider_page(provider: object) -> Html:
    """Its part and its name, nothing else."""
    name, kind = tag("b", foreign(_name(provider), 400)), tag("small", f" {type(provider).__name__}")
    return tag("div", tag("small", f"{role_of(provider)} "), name, kind)


def _name(provider: object) -> str:
    return " ".join(word for word in name_of(provider) if word)


def stages(parts: dict[str, str]) -> list[tuple[str, str]]:
    """What the present stages do, and what runs there."""
    return [(word, parts[stage]) for stage, word in STAGES.items() if stage in parts]


def agent_text(agent: Agent) -> str:
    """The agent in lines of plain text."""
    lines = ["Agent", *(f"  {word:14}{line(what, 120)}" for word, what in stages(agent.parts()))]
    lines.append(f"  {'prompt':14}{line(agent.system_prompt, 300) or 'none'}")
    lines += [f"  {'tool':14}{signature(tool)}" for tool in agent.tools[:_ITEMS_SHOWN]]
    lines += [f"  {name:14}{line(what, 300)}" for name, what in _manners(agent)]
    return "\n".join(lines)


def agent_page(agent: Agent) -> Html:
    """The agent as a list of its parts."""
    parts = [_row(word, tag("b", foreign(what, 200))) for word, what in stages(agent.parts())]
    if agent.llm is None:
        parts.append(_row("thinks", tag("span", "no language model yet: pass llm=, here or to serve()", cls="warn")))
    prompt = fold(agent.system_prompt, 12_000, letters=600) if agent.system_prompt else tag("small", "none")
    manners = [_row(name, foreign(what, 1000)) for name, what in _manners(agent)]
    tools = [_row("tools", _items(map(_tool, agent.tools), len(agent.tools)))] if agent.tools else []
    rails = [_row("guardrails", _items(map(_guardrail, agent.guardrails), len(agent.guardrails)))] if agent.guardrails else []
    return join(tag("div", tag("b", "Agent")), tag("dl", *parts, _row("prompt", prompt), *tools, *rails, *manners))


def _row(name: str, what: str) -> Html:
    return join(tag("dt", name), tag("dd", what))


def _items(items: Iterable[Html], total: int) -> Html:
    shown = [tag("li", item) for item in islice(items, _ITEMS_SHOWN)]
    return join(tag("ul", *shown), left_out(total - len(shown), "of them"))


def _tool(tool: Tool) -> Html:
    return join(tag("code", foreign(signature(tool), 300)), " ", tag("small", foreign(tool.description, 200)))


def _guardrail(rail: Guardrail) -> Html:
    does = [count(len(rail.blocked_terms), "blocked term")] if rail.blocked_terms else []
    does += ["a check"] if rail.check is not None else []
    return join(foreign(rail.name, 200), " ", tag("small", f"on {rail.on}: {' and '.join(does) or 'blocks nothing'}"))


def _manners(agent: Agent) -> list[tuple[str, str]]:
    """How it behaves, where that was said. Of variables only the names: their values may be somebody's secrets."""
    hooks = agent.hooks
    after = hooks.after_llm
    set_hooks = {
        "before_send_to_stt": hooks.before_send_to_stt,
        "after_transcribe": hooks.after_transcribe,
        "before_llm": hooks.before_llm,
        "after_llm.on_chunk": after.on_chunk,
        "after_llm.on_sentence": after.on_sentence,
        "after_llm.on_response": after.on_response,
        "before_synthesize": hooks.before_synthesize,
        "after_synthesize": hooks.after_synthesize,
    }
    told = [
        ("first message", agent.first_message),
        ("variables", ", ".join(map(str, agent.variables))),
        ("transforms", _names(agent.text_transforms)),
        ("hooks", ", ".join(name for name, hook in set_hooks.items() if hook is not None)),
        ("executor", type(agent.executor).__name__ if agent.executor is not None else ""),
        ("turn taking", _turn_taking(agent.turn_taking)),
        ("when slow", f"{agent.filler.text} (after {duration(agent.filler.after_ms)})" if agent.filler is not None else ""),
        ("when it fails", agent.error_message),
        ("language", agent.language),
    ]
    return [(name, what) for name, what in told if what]


def _turn_taking(taking: TurnTaking) -> str:
    ends = f"{duration(taking.endpointing_ms)} of silence end a turn"
    if taking.detector is not None:
        ends = f"{name_of(taking.detector)[0]} judges when a turn ends, {duration(taking.detector.hold_ms)} of silence at the latest"
    interrupts = "deaf while it speaks" if taking.half_duplex else f"can be interrupted, confirmed within {duration(taking.confirm_ms)}"
    return "; ".join((ends, interrupts, *(["begins to answer early"] if taking.preemptive else [])))


def _names(functions: Sequence[object]) -> str:
    return ", ".join(getattr(function, "__name__", type(function).__name__) for function in functions)  # foreign: any callable
