"""`patter-nb`: open the first notebook, fetch the local models, and let an agent answer a recording.

Exit status 0: done. 1: failed. 2: wrong use: a path, a name or an agent that cannot be worked with, so that nothing was begun.
What went wrong is told in two lines on stderr, cause and remedy; --debug adds the traceback.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from patter_nb import __version__
from patter_nb.errors import PatterConfigError, PatterError
from patter_nb.events import Event, SentenceChecked, StageFailed, ToolEnded, TurnHeard, TurnOffered, TurnStarted, UtteranceDropped

if TYPE_CHECKING:
    from patter_nb.agent import Agent
    from patter_nb.session import Session
    from patter_nb.turn import ToolCall
    from patter_nb.turns import Turns

__all__ = ["main"]

DONE, FAILED, WRONG_USE = 0, 1, 2


class WrongUse(PatterConfigError):
    """The command was given something that it cannot work with; nothing was begun."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command `argv` (default: the process's own arguments) and return the exit status.

    Arguments that do not parse raise `SystemExit` with status 2, as argparse does.
    """
    options = _parser().parse_args(argv)
    try:
        match options.command:
            case "download":
                return _download(options)
            case "lab":
                return _lab(options)
        return asyncio.run(_call(options))
    except PatterError as error:
        _complain(error, options.debug)
        return WRONG_USE if isinstance(error, WrongUse) else FAILED
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser = argparse.ArgumentParser(prog="patter-nb", description="Voice agents on this machine.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    download = commands.add_parser("download", parents=[common], help="fetch the models of the local stack")
    download.add_argument("names", nargs="*", metavar="NAME", help="a model (default: all that this machine uses)")
    download.add_argument("--check", action="store_true", help="fetch nothing; fail if a model is missing or wrong")

    lab = commands.add_parser("lab", parents=[common], help="open the first notebook in JupyterLab")
    lab.add_argument("--port", type=int, metavar="N", help="the port to listen on (default: the first free one from 8888 on)")
    lab.add_argument("--no-browser", action="store_true", help="open no browser; the address is printed")

    call = commands.add_parser("call", parents=[common], help="let an agent answer a recording")
    call.add_argument("question", metavar="IN.wav", type=Path, help="what the person says")
    call.add_argument("answer", metavar="OUT.wav", type=Path, help="what they hear, aligned in time with IN.wav")
    call.add_argument("--agent", metavar="MODULE:NAME", help="an Agent, or a function that makes one (default: the demo agent)")
    call.add_argument("--events", metavar="F", type=Path, help="write every step to this file, one JSON object a line")
    return parser


def _complain(error: PatterError, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"remedy: {error.hint}", file=sys.stderr)


# --- download


def _download(options: argparse.Namespace) -> int:
    from patter_nb.downloads import ARTIFACTS, download

    if unknown := [name for name in options.names if name not in ARTIFACTS]:
        raise WrongUse(f"There is no model {unknown[0]!r} to download.", hint=f"Choose from {', '.join(ARTIFACTS)}.")
    found = download(options.names, check=options.check)
    if all(status.state == "right" for status in found):
        return DONE
    raise PatterError("Not every model is here and right.", hint=f"Run: patter-nb download {' '.join(options.names)}".strip())


# --- lab


def _lab(options: argparse.Namespace) -> int:
    """Fetch the local models, and open the notebook. Without the local stack the notebook still opens, and what is missing is told."""
    from patter_nb.downloads import download
    from patter_nb.lab import open_lab

    if options.port is not None and not 0 <= options.port < 1 << 16:
        raise WrongUse(f"{options.port} is no port.", hint="Give a number up to 65535.")
    try:
        download()
    except PatterError as error:
        _complain(error, options.debug)
        print("The notebook opens all the same; its agent needs what is missing.", file=sys.stderr)
    return DONE if open_lab(port=options.port, browser=not options.no_browser) == 0 else FAILED


# --- call


async def _call(options: argparse.Namespace) -> int:
    """Serve the agent over the recording, show the conversation, and keep what was said however it ends."""
    from patter_nb.patter import Patter
    from patter_nb.transports.wav import WavTransport

    with _wrong_use():
        transport = WavTransport(options.question, options.answer)
    if options.events is not None:
        _check_events(options)
    agent = _agent(options.agent or "patter_nb.demo:agent")
    with _wrong_use():
        serving = Patter().serve(agent, transport=transport, name="call")
    print("loading the models ...", file=sys.stderr, flush=True)
    async with serving as session:
        _follow(session)
        try:
            await session.wait()
        finally:
            if options.events is not None:
                session.events.write(options.events)
    print(_figures(session.turns))
    return _verdict(session)


@contextmanager
def _wrong_use() -> Iterator[None]:
    """What is refused before anything was begun is wrong use."""
    try:
        yield
    except PatterError as error:
        raise WrongUse(error.message, hint=error.hint) from error


def _check_events(options: argparse.Namespace) -> None:
    from patter_nb.files import check_writable

    for other in (options.question, options.answer):
        if options.events.resolve() == other.resolve():
            raise WrongUse(f"--events would write over {other}.", hint="Give the events another name.")
    with _wrong_use():
        check_writable(options.events)


def _agent(name: str) -> Agent:
    """The agent called "module:name", made if it is a function that is so called; modules are looked for in the current directory too."""
    from patter_nb.agent import Agent

    with _users_code(name):
        made = _object(name)
        if not isinstance(made, Agent) and callable(made):
            made = made()
    if not isinstance(made, Agent):
        raise WrongUse(f"{name} is {type(made).__name__}, not an agent.", hint="Name an Agent, or a function that returns one.")
    return made


def _object(name: str) -> object:
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise WrongUse(f"{name!r} does not name an agent.", hint="Write MODULE:NAME, for example my_agents:weather.")
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    try:
        found = vars(importlib.import_module(module))
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise
        raise WrongUse(f"There is no module {module}, neither installed nor in {here}.", hint="Write MODULE:NAME.") from error
    if attribute not in found:
        raise WrongUse(f"The module {module} has no {attribute}.", hint="Name an Agent in it, or a function that returns one.")
    return found[attribute]


@contextmanager
def _users_code(name: str) -> Iterator[None]:
    """What somebody's own code raises is told like any other error, with the original as its cause."""
    try:
        yield
    except PatterError:
        raise
    except Exception as error:
        raise PatterError(f"{name} could not be made: {type(error).__name__}: {error}", hint="Run it with --debug to see where.") from error


def _follow(session: Session) -> None:
    """Print the conversation so far, and from now on whatever comes."""

    def show(event: Event) -> None:
        if line := _line(event, session.turns):
            print(line, flush=True)

    for event in session.events:
        show(event)
    session.events.subscribe(show)


def _line(event: Event, turns: Turns) -> str | None:
    """What there is to read about an event, if anything."""
    match event.body:
        case TurnStarted(source="speech", text=text):
            return f"you: {text}"
        case TurnOffered(late_ms=late_ms):
            return f"     (heard {late_ms / 1000:.1f} s late, so not answered)"
        case UtteranceDropped(reason=reason):
            return f"     (not answered: {reason})"
        case ToolEnded(id=id) if event.turn is not None:
            call = next(call for call in turns.by_id(event.turn).tool_calls if call.id == id)
            return f"tool {call.name}({_arguments(call)}) -> {call.error or call.result}"
        case SentenceChecked(text=text) if text.strip():
            return f"agent: {text.strip()}"
        case TurnHeard(text=text, interrupted=True) if event.turn is not None:
            from patter_nb.display.turn import broken_off

            return f"     ({broken_off(turns.by_id(event.turn))}{'; heard: ' if text else ''}{' '.join(text.split())})"
        case StageFailed(stage=stage, error=error):
            return f"{stage} failed: {error.message}"
    return None


def _arguments(call: ToolCall) -> str:
    return call.arguments if isinstance(call.arguments, str) else ", ".join(f"{name}={value}" for name, value in call.arguments.items())


def _figures(turns: Turns) -> str:
    """How fast it was: medians over the turns that were spoken and answered."""
    timed = [turn.latency for turn in turns if {"endpointing", "response"} <= turn.latency.keys()]
    if not timed:
        return "no answer to time"
    endpointing = median(latency["endpointing"] for latency in timed)
    response = median(latency["response"] - latency["endpointing"] for latency in timed)
    return f"{len(timed)} answered: end of speech noticed after {endpointing:.0f} ms, the answer heard {response:.0f} ms after that"


def _verdict(session: Session) -> int:
    """Raise what made the call fail, or the fact that nothing came of it."""
    for event in session.events:
        if isinstance(event.body, StageFailed):
            raise event.body.error
    if not any(turn.source == "speech" and turn.status != "offered" for turn in session.turns):
        raise PatterError("Nothing in the recording was answered.", hint="Check that it holds clear speech; --events shows what was heard.")
    return DONE
