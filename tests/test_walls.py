"""The walls of the house: who may import whom, and what the core may not call. Read from the sources, without running them."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

import patter_nb

ROOT = Path(patter_nb.__file__).parent

JUPYTER = {"IPython", "ipywidgets", "anywidget", "ipykernel", "ipywebrtc", "jupyterlab", "traitlets", "comm"}
STAGES = {"llm", "stt", "tts", "vad", "turn_detection", "engines"}
SHARED = {"base", "loop", "rounds", "wire", "openai_shape", "gemini", "socket", "sound", "closing", "utterance", "imagined", "log_mel"}
"""What the providers of a stage have in common."""
FACES = {"display", "console", "tape", "export"}
EDGES = {
    *FACES,
    *("cli", "__main__", "demo", "clock", "downloads", "files", "inference", "serve", "testing", "transports"),
    *("patter_nb.audio.wav", "patter_nb.tools.executor", "engines.socket", "llm.wire", "stt.wire", "tts.wire", "wire"),
}
"""Outside the core: what meets the world, or is there for tests."""
DOES_IO = {
    *("asyncio", "concurrent", "multiprocessing", "selectors", "signal", "socket", "ssl", "subprocess", "threading"),
    *("http", "urllib", "aiohttp", "httpx", "requests"),
    *("io", "mmap", "os", "pathlib", "shutil", "sqlite3", "tempfile", "wave"),
    *("random", "secrets", "time"),
}
HEAVY = {
    *JUPYTER,
    *("onnxruntime", "pydantic", "soxr", "xllamacpp", "moonshine_voice", "piper", "faster_whisper", "av"),
    *("openai", "anthropic", "groq", "google.genai", "mcp", "opentelemetry", "starlette"),
}
CHANCE_AND_TIME = {"random", "secrets", "time"}
TELLS_TIME = {"asyncio.sleep", "asyncio.wait_for", "asyncio.timeout", "asyncio.timeout_at", "loop.call_later", "loop.call_at", "loop.time"}


@dataclass(frozen=True)
class Import:
    """`module` is imported in the module `importer`: `lazy` inside a function, `typing` only for type checkers."""

    importer: str
    line: int
    module: str
    lazy: bool
    typing: bool

    @property
    def by(self) -> str:
        """For the message of a failed test."""
        return f"{self.importer}:{self.line} imports {self.module}"

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]

    @property
    def room(self) -> str | None:
        """The room of the house that it leads to."""
        return self.module.split(".")[1] if self.module.startswith("patter_nb.") else None


@dataclass(frozen=True)
class Module:
    """One source file: its dotted name, its tree, its imports, and the names of what it calls."""

    name: str
    tree: ast.Module
    imports: tuple[Import, ...]
    calls: tuple[str, ...]

    @property
    def rooms(self) -> tuple[str, ...]:
        """Its name's parts below patter_nb."""
        return tuple(self.name.split(".")[1:])


def imports_of(tree: ast.AST, name: str, package: str, *, lazy: bool = False, typing: bool = False) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(name, node.lineno, alias.name, lazy, typing) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = resolve_name("." * node.level + (node.module or ""), package)
            yield Import(name, node.lineno, source, lazy, typing)
            yield from (Import(name, node.lineno, f"{source}.{alias.name}", lazy, typing) for alias in node.names)
        else:
            in_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for_checkers = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            yield from imports_of(node, name, package, lazy=lazy or in_function, typing=typing or for_checkers)


@cache
def modules() -> dict[str, Module]:
    """Every module of the house by name."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = ["patter_nb", *path.relative_to(ROOT).with_suffix("").parts]
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        tree = ast.parse(path.read_text("utf-8"))
        imports = tuple(imports_of(tree, name, name if is_package else name.rpartition(".")[0]))
        calls = tuple(ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))
        found[name] = Module(name, tree, imports, calls)
    return found


def provider_of(name: str) -> str | None:
    """ "llm.local" for patter_nb.llm.local and all below it; None for what is no provider."""
    parts = name.split(".")[1:]
    return ".".join(parts[:2]) if len(parts) > 1 and parts[0] in STAGES and parts[1] not in SHARED and name in modules() else None


def core() -> list[Module]:
    """Everything but the edges and the providers."""
    edges = {name for name, module in modules().items() if EDGES & {*module.rooms[:1], ".".join(module.rooms[:2]), name}}
    return [module for name, module in modules().items() if name not in edges and provider_of(name) is None]


def reached_from(start: str) -> set[str]:
    """The modules of the house that `start` comes to, at import or when it runs, except the faces it shows itself by."""
    seen, ahead = set[str](), {start}
    while ahead:
        name = ahead.pop()
        seen.add(name)
        imports = modules()[name].imports
        ahead |= {found.module for found in imports if found.module in modules() and not found.typing and found.room not in FACES} - seen
    return seen


def test_a_module_says_why_it_exists() -> None:
    """An empty file only makes a directory a package."""
    assert not [name for name, module in modules().items() if module.tree.body and not ast.get_docstring(module.tree)]


def test_only_the_console_imports_widget_libraries() -> None:
    assert not [
        found.by for module in modules().values() for found in module.imports if found.top in JUPYTER and module.rooms[:1] != ("console",)
    ]


def test_a_provider_imports_no_other_provider() -> None:
    assert not [
        found.by
        for module in modules().values()
        for found in module.imports
        if (own := provider_of(module.name)) and provider_of(found.module) not in (None, own)
    ]


def test_faces_are_reached_only_from_inside_a_function() -> None:
    """A noun learns how it is shown only when it is asked to show itself."""
    assert not [
        found.by
        for module in modules().values()
        for found in module.imports
        if not found.lazy and not found.typing and found.room in FACES and not FACES & set(module.rooms[:1])
    ]


def test_the_agent_and_the_step_function_come_to_nothing_that_does_io() -> None:
    pure = [name for name in modules() if name.startswith(("patter_nb.agent", "patter_nb.step"))]
    reached = set[str]().union(*map(reached_from, pure))
    assert {"patter_nb.step.answering", "patter_nb.llm.base", "patter_nb.tools.tool"} <= reached
    assert not [found.by for name in reached for found in modules()[name].imports if not found.typing and found.top in DOES_IO]


def test_the_core_asks_neither_the_time_nor_chance() -> None:
    """Clock and random source are handed in."""
    assert {"patter_nb.conductor", "patter_nb.pipeline.thinker", "patter_nb.llm.base"} <= {module.name for module in core()}
    assert not [found.by for module in core() for found in module.imports if not found.typing and found.top in CHANCE_AND_TIME]
    assert not [f"{module.name} calls {called}" for module in core() for called in module.calls if called in TELLS_TIME]


def test_a_loop_is_asked_for_only_where_it_runs() -> None:
    everywhere = [(module.name, called) for module in modules().values() for called in module.calls]
    assert not [(name, called) for name, called in everywhere if called.endswith("_event_loop")]


def test_importing_a_module_loads_nothing_heavy() -> None:
    """`demo` is left out: it is a program of its own, whose tools are made when it is imported; of the console its door is light."""
    left_out = ("patter_nb.__main__", "patter_nb.demo", "patter_nb.console.")
    names = [name for name in modules() if not name.startswith(left_out)]
    code = f"""
import importlib, sys
for name in {names}:
    importlib.import_module(name)
    loaded = {HEAVY} & sys.modules.keys()
    assert not loaded, (name, loaded)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
