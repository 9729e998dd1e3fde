"""What the kernel's tests stand on does what it says, in every release: shown on a widget that takes frames and answers with sound."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_envs import VERSIONS
from kernel_page import Cell, OpenKernel, OpenPage, Widget

pytestmark = pytest.mark.slow

in_every_release = pytest.mark.parametrize("version", VERSIONS)

FRAMES = 100
LOOPBACK = '''
import threading
import time
import anywidget
import traitlets

class Loopback(anywidget.AnyWidget):
    _esm = "export default {}"
    count = traitlets.Int(0).tag(sync=True)
    newest = traitlets.Any(b"").tag(sync=True)

    def __init__(self):
        super().__init__()
        self.frames, self.in_main = [], set()
        self.on_msg(self.take)
        self.observe(lambda change: self.send({"kind": "saw", "count": change.new}, [bytes(self.newest)]), "count")

    def take(self, _, content, buffers):
        if content["kind"] == "hello":
            self.send({"kind": "hello"})
            return
        self.in_main.add(threading.current_thread() is threading.main_thread())
        self.frames.append(bytes(buffers[0]))
        if len(self.frames) == 100:
            self.send({"kind": "sound", "rate": 16000}, [b"".join(self.frames)])

loopback = Loopback()
'''
SLEEP = "print('asleep', flush=True); time.sleep(1); print(len(loopback.frames))"
WAIT = "print('waiting', flush=True)\nwhile len(loopback.frames) < 100: time.sleep(0.05)"


def pcm(seq: int) -> bytes:
    """A frame of 20 ms that no other frame is like."""
    return np.full(320, seq * 100, "<i2").tobytes()


async def loopback(kernel: OpenKernel, version: str, *, subshell: bool = True, greet: bool = True) -> Widget:
    """The widget, with `greet` after page and kernel have greeted each other."""
    page = await kernel(version, subshell=subshell)
    assert await page.run("import ipykernel; print(ipykernel.__version__, end='')") == version
    await page.run(LOOPBACK)
    widget = await page.widget("Loopback")
    if greet:
        widget.send({"kind": "hello"})
        await widget.message(kind="hello")
    return widget


async def frames_during(code: str, widget: Widget) -> Cell:
    """Send the frames while a cell runs, which prints something first. All arrive in order, and come back."""
    cell = widget.page.start(code)
    await widget.page.until(lambda: cell.text)
    for seq in range(FRAMES):
        widget.send({"kind": "frame"}, pcm(seq))
    sound = await widget.message(kind="sound")
    assert sound.buffers == (b"".join(map(pcm, range(FRAMES))),)
    await widget.page.finished(cell)
    return cell


@in_every_release
async def test_frames_sent_to_a_sleeping_cell_all_arrive_in_order(kernel: OpenKernel, version: str) -> None:
    widget = await loopback(kernel, version)
    cell = await frames_during(SLEEP, widget)
    late = version == "6.31.0"
    assert await widget.page.run("loopback.in_main") == ("{True}" if late else "{False}")
    assert (cell.text == "asleep\n0\n") is late


@pytest.mark.parametrize("version", VERSIONS[1:])
async def test_with_subshells_a_cell_may_wait_for_frames_without_awaiting(kernel: OpenKernel, version: str) -> None:
    await frames_during(WAIT, await loopback(kernel, version))


@pytest.mark.parametrize(("version", "text"), [("7.1.0", "asleep\n100\n"), ("7.4.0", "asleep\n0\n")])
async def test_in_7_4_messages_go_to_the_subshell_only_after_one_was_answered(kernel: OpenKernel, version: str, text: str) -> None:
    cell = await frames_during(SLEEP, await loopback(kernel, version, greet=False))
    assert cell.text == text


@in_every_release
async def test_without_subshells_frames_wait_for_the_cell(kernel: OpenKernel, version: str) -> None:
    widget = await loopback(kernel, version, subshell=False)
    cell = await frames_during(SLEEP, widget)
    assert cell.text == "asleep\n0\n"
    assert await widget.page.run("loopback.in_main") == "{True}"


@in_every_release
async def test_state_goes_both_ways_and_what_goes_wrong_is_seen(kernel: OpenKernel, version: str) -> None:
    widget = await loopback(kernel, version)
    widget.set(newest=b"\x00\xff", count=7)
    assert (await widget.message(kind="saw", count=7)).buffers == (b"\x00\xff",)
    await widget.page.run("loopback.newest = b'from the kernel'; loopback.count = 8")
    assert widget.state["newest"] == b"from the kernel" and widget.state["count"] == 8
    assert await widget.page.run("1 / 0", fails=True) == "ZeroDivisionError: division by zero"
    with pytest.raises(AssertionError, match="division by zero"):
        await widget.page.run("1 / 0")
    await widget.page.run("loopback.close()")
    assert widget.closed


@in_every_release
async def test_a_reloaded_page_has_the_widgets_again(kernel: OpenKernel, another_page: OpenPage, version: str) -> None:
    widget = await loopback(kernel, version)
    await widget.page.run("loopback.newest = b'still here'")
    await widget.page.close()
    again = await (await another_page(widget.page)).widget("Loopback")
    assert again.id == widget.id and again.state["newest"] == b"still here" and again.messages == []
    await frames_during(SLEEP, again)
