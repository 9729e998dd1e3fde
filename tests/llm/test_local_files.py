from pathlib import Path

import pytest

from patter_nb.errors import ModelNotFound, PatterConfigError
from patter_nb.llm.local import LocalLLM, files
from patter_nb.llm.local.runtime import chat_template


def test_the_default_model_is_the_verified_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []
    monkeypatch.setattr(files, "verified", lambda name, needed_for: asked.append(name) or tmp_path)
    assert files.model_file("smollm2").parent == tmp_path
    assert {path.parent for path in files.encoder_files()} == {tmp_path}
    assert asked == ["smollm2", "minilm"]


def test_a_path_is_itself() -> None:
    assert files.model_file("models/other.gguf") == Path("models/other.gguf")
    assert files.model_file(Path("other")) == Path("other")


def test_a_name_of_no_known_form_is_refused() -> None:
    with pytest.raises(PatterConfigError, match="smollm2"):
        files.model_file("gpt-4o")


def test_what_is_no_name_at_all_is_refused_at_once() -> None:
    with pytest.raises(PatterConfigError, match="a name or a path"):
        LocalLLM(42)  # type: ignore[arg-type]


async def test_a_missing_file_is_named_when_the_model_is_loaded(tmp_path: Path) -> None:
    llm = LocalLLM(tmp_path / "absent.gguf")
    with pytest.raises(ModelNotFound, match=r"absent\.gguf"):
        await llm.warmup()
    with pytest.raises(ModelNotFound, match=r"absent\.gguf"):
        [chunk async for chunk in llm.stream([{"role": "user", "content": "Hello"}])]
    await llm.aclose()


async def test_a_file_of_another_form_is_named(tmp_path: Path) -> None:
    path = tmp_path / "text.gguf"
    path.write_text("this is no model")
    llm = LocalLLM(str(path))
    with pytest.raises(ModelNotFound, match="no GGUF file"):
        await llm.warmup()
    await llm.aclose()


def test_the_chat_template_is_read_from_the_header(tmp_path: Path) -> None:
    key, value = b"tokenizer.chat_template", b"{% for tool in tools %}{% endfor %}"
    entry = len(key).to_bytes(8, "little") + key + (8).to_bytes(4, "little") + len(value).to_bytes(8, "little") + value
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + (3).to_bytes(4, "little") + (0).to_bytes(8, "little") + (1).to_bytes(8, "little") + entry)
    assert chat_template(path) == value.decode()
    path.write_bytes(b"GGUF" + b"\0" * 64)
    assert chat_template(path) == ""
