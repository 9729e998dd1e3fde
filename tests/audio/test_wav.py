"""WAV files: every encoding in, every kind of bad file named, nothing half-written out."""

from __future__ import annotations

import errno
import os
import stat
import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from patter_nb.audio import wav
from patter_nb.audio.wav import check_writable, read_wav, to_pcm, write_wav
from patter_nb.errors import AudioError

PCM, MULAW, FLOAT, EXTENSIBLE = 1, 7, 3, 0xFFFE
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
RAMP = np.array([0, 1, -1, 255, -256, 12345, 32767, -32768], np.int16)


def riff(
    data: bytes,
    *,
    encoding: int = PCM,
    width: int = 2,
    channels: int = 1,
    rate: int = 16_000,
    extensible: bool = False,
    promised: int | None = None,
) -> bytes:
    """A WAV file around `data`, with an odd chunk before it, as recorders write; `promised` is the size its header gives."""
    align = width * channels
    form = struct.pack("<HHIIHH", EXTENSIBLE if extensible else encoding, channels, rate, rate * align, align, 8 * width)
    if extensible:
        form += struct.pack("<HHIH", 22, 8 * width, 0, encoding) + GUID_TAIL
    size = len(data) if promised is None else promised
    body = b"WAVE" + b"LIST\x03\0\0\0abc\0" + struct.pack("<4sI", b"fmt ", len(form)) + form + struct.pack("<4sI", b"data", size)
    return b"RIFF" + struct.pack("<I", min(len(body) + size, 0xFFFF_FFFF)) + body + data


def packed(samples: np.ndarray, encoding: int, width: int) -> bytes:
    """16-bit samples in another encoding, exactly where it is wide enough."""
    wide = samples.astype(np.int64)
    if encoding == FLOAT:
        return (wide / 32768).astype(f"<f{width}").tobytes()
    if width == 1:
        return ((wide >> 8) + 128).astype(np.uint8).tobytes()
    return b"".join(int(value << 8 * (width - 2)).to_bytes(width, "little", signed=True) for value in wide)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "question.wav"


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize(("encoding", "width"), [(PCM, 1), (PCM, 2), (PCM, 3), (PCM, 4), (FLOAT, 4), (FLOAT, 8)])
def test_every_encoding_gives_the_same_samples(path: Path, encoding: int, width: int, extensible: bool) -> None:
    path.write_bytes(riff(packed(RAMP, encoding, width), encoding=encoding, width=width, rate=44_100, extensible=extensible))
    pcm, rate = read_wav(path)
    assert rate == 44_100
    assert pcm.dtype == np.int16
    assert pcm.tolist() == (RAMP if width > 1 else RAMP >> 8 << 8).tolist()


@pytest.mark.parametrize("channels", [2, 6])
def test_channels_are_averaged(path: Path, channels: int) -> None:
    frames = np.repeat(np.array([100, -3000, 32767], np.int16), channels).reshape(-1, channels)
    frames[:, 0] -= 60
    path.write_bytes(riff(frames.tobytes(), channels=channels))
    assert read_wav(path)[0].tolist() == [value - 60 // channels for value in (100, -3000, 32767)]


def test_a_long_file_is_converted_in_blocks_without_seams(path: Path) -> None:
    samples = np.arange(2 * wav._BLOCK + 777).astype(np.int16)
    path.write_bytes(riff(packed(samples, FLOAT, 4), encoding=FLOAT, width=4))
    assert np.array_equal(read_wav(path)[0], samples)


def test_float_beyond_full_scale_is_clipped(path: Path) -> None:
    path.write_bytes(riff(np.array([1.2, -1.2, 0.5], "<f4").tobytes(), encoding=FLOAT, width=4))
    assert read_wav(path)[0].tolist() == [32767, -32768, 16384]


@pytest.mark.parametrize("promised", [0xFFFF_FFFF, 0x7FFF_F000])
def test_a_piped_file_is_read_to_its_end(path: Path, promised: int) -> None:
    path.write_bytes(riff(RAMP.tobytes(), promised=promised))
    assert read_wav(path)[0].tolist() == RAMP.tolist()


def test_chunks_after_the_sound_are_no_sound(path: Path) -> None:
    path.write_bytes(riff(RAMP.tobytes()) + b"LIST\x04\0\0\0INFO")
    assert read_wav(path)[0].tolist() == RAMP.tolist()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"ID3\x04 this is an mp3", "no WAV file.*ffmpeg"),
        (b"RIFF\x10\0\0\0AVI LIST", "no WAV file"),
        (b"RIFF", "cut off before its sound begins"),
        (riff(b"")[:-8], "cut off before its sound begins"),
        (riff(b"")[:30], "cut off before its sound begins"),
        (riff(b""), "zero samples"),
        (riff(b"\0"), "zero samples"),
        (riff(bytes(32_000), promised=64_000), r"promises 2\.00 s of sound, and 1\.00 s are there"),
        (riff(bytes(32_000), promised=0), r"promises 0\.00 s of sound, and 1\.00 s are there"),
        (riff(bytes(8), encoding=MULAW, width=1), "encoding.*0x0007.*ffmpeg"),
        (riff(bytes(8), width=2, channels=0), "damaged: 0 channels"),
        (riff(bytes(8), rate=0), "damaged: 1 channels at 0 Hz"),
        (b"RIFF\x10\0\0\0WAVEdata\x04\0\0\0abcd", "no format"),
        (riff(np.array([0, 0.5, np.nan], "<f4").tobytes(), encoding=FLOAT, width=4), "NaN or infinity, first at sample 2"),
        (riff(np.array([0, np.inf, -np.inf, 1], "<f8").tobytes(), encoding=FLOAT, width=8, channels=2), "infinity, first at sample 0"),
        (riff(RAMP.astype("<f4").tobytes(), encoding=FLOAT, width=4), "32768, where full scale is 1.0"),
    ],
)
def test_a_bad_file_is_named_with_its_cause(path: Path, content: bytes, said: str) -> None:
    path.write_bytes(content)
    with pytest.raises(AudioError, match=said) as caught:
        read_wav(path)
    assert str(path) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("promised", [0, 100, 0x7FFF_0000])
def test_what_is_there_of_a_cut_off_file_can_be_taken(path: Path, promised: int) -> None:
    path.write_bytes(riff(RAMP.tobytes() + b"\x7f", promised=promised))
    assert read_wav(path, partial=True)[0].tolist() == RAMP.tolist()


def test_a_missing_file_a_directory_and_a_forbidden_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AudioError, match=r"There is no file .*nowhere\.wav"):
        read_wav(tmp_path / "nowhere.wav")
    with pytest.raises(AudioError, match="is a directory"):
        read_wav(str(tmp_path))
    with pytest.raises(AudioError, match="cannot be read"):
        read_wav(tmp_path / ("x" * 300))

    def refuse(self: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(AudioError, match="cannot be read: Permission denied"):
        read_wav(tmp_path / "secret.wav")


def test_arrays_become_pcm() -> None:
    assert to_pcm(RAMP) is RAMP
    assert to_pcm(np.array([0.5, -1.0, 1.0], np.float32)).tolist() == [16384, -32768, 32767]
    assert to_pcm(np.array([[100, 300], [-4, 0]], np.int16)).tolist() == [200, -2]
    assert to_pcm([0.25]).tolist() == [8192]


@pytest.mark.parametrize(
    "bad",
    [16_000, np.zeros((2, 2, 2), np.int16), np.zeros((2, 480), np.int16), np.zeros(4, np.int32), np.zeros(0, np.int16), np.array([np.nan])],
)
def test_an_array_that_is_no_sound_is_refused(bad: object) -> None:
    with pytest.raises(AudioError, match="The array"):
        to_pcm(bad)  # type: ignore[arg-type]


def test_what_is_written_is_plain_pcm16_mono(path: Path) -> None:
    write_wav(path, RAMP, 24_000)
    with wave.open(os.fspath(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)
        assert file.readframes(100) == RAMP.astype("<i2").tobytes()
    assert read_wav(path)[0].tolist() == RAMP.tolist()
    assert os.listdir(path.parent) == [path.name]


def test_only_pcm16_is_written(path: Path) -> None:
    with pytest.raises(AudioError, match="float64"):
        write_wav(path, np.zeros(4), 16_000)  # type: ignore[arg-type]
    assert not path.exists()


def test_a_failed_write_keeps_the_older_answer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b"older")

    def fill_the_disk(self: wave.Wave_write, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(wave.Wave_write, "writeframesraw", fill_the_disk)
    with pytest.raises(AudioError, match="No space left"):
        write_wav(path, RAMP, 16_000)
    assert path.read_bytes() == b"older"
    assert os.listdir(path.parent) == [path.name]


def test_a_link_stays_a_link_and_permissions_stay(tmp_path: Path) -> None:
    real, link = tmp_path / "real.wav", tmp_path / "link.wav"
    real.write_bytes(b"older")
    real.chmod(0o640)
    link.symlink_to(real)
    write_wav(link, RAMP, 16_000)
    assert link.is_symlink()
    assert read_wav(real)[0].tolist() == RAMP.tolist()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_device_is_written_to_and_not_replaced() -> None:
    check_writable(os.devnull)
    write_wav(os.devnull, RAMP, 16_000)
    assert not Path(os.devnull).is_file()


def test_an_unwritable_target_is_found_out_beforehand(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for dst in (tmp_path, tmp_path / "nowhere" / "answer.wav", tmp_path / "file" / "answer.wav", tmp_path / ("x" * 300)):
        with pytest.raises(AudioError, match="cannot be written") as caught:
            check_writable(dst)
        assert caught.value.hint
        with pytest.raises(AudioError, match="cannot be written"):
            write_wav(dst, RAMP, 16_000)
    assert os.listdir(tmp_path) == ["file"]


def test_a_write_protected_target_is_found_out_beforehand(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b"older")
    monkeypatch.setattr(os, "access", lambda target, mode: False)  # the superuser may write to anything
    with pytest.raises(AudioError, match="write-protected"):
        check_writable(path)
    with pytest.raises(AudioError, match="write-protected"):
        write_wav(path, RAMP, 16_000)
    assert path.read_bytes() == b"older"


def test_the_check_leaves_nothing_and_changes_nothing(path: Path) -> None:
    check_writable(path)
    assert os.listdir(path.parent) == []
    path.write_bytes(b"older")
    check_writable(path)
    assert path.read_bytes() == b"older"
    assert os.listdir(path.parent) == [path.name]
