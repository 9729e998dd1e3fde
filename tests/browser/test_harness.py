"""What the browser's tests stand on does what it says: shown on a small widget that sends the microphone up and plays what comes down."""

from __future__ import annotations

import re

import numpy as np
import pytest
from lab_page import Lab, OpenLab
from microphone import QUESTION, Recordings
from page_sound import Echo, Sound

from patter_nb.audio.wav import read_wav

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TELEPHONE = '''
import anywidget
import numpy as np
import traitlets

class Telephone(anywidget.AnyWidget):
    _esm = """
const capture = `registerProcessor("capture", class extends AudioWorkletProcessor {
  block = [];
  process([[samples]]) {
    this.block.push(...(samples ?? new Float32Array(128)));
    if (this.block.length >= 2048) {
      const pcm = Int16Array.from(this.block.splice(0), (x) => Math.round(32767 * Math.max(-1, Math.min(1, x))));
      this.port.postMessage({ frame: currentFrame + 128 - pcm.length, pcm }, [pcm.buffer]);
    }
    return true;
  }
});`;
export default () => {
  let listen;
  const initialize = async ({ model }) => {
    const context = new AudioContext();
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([capture], { type: "text/javascript" })));
    listen = async () => {
      await context.resume();
      const processing = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      const stream = await navigator.mediaDevices.getUserMedia({ audio: processing });
      const node = new AudioWorkletNode(context, "capture");
      node.port.onmessage = ({ data: { frame, pcm } }) => {
        const at = performance.timeOrigin + performance.now() - (context.currentTime - frame / context.sampleRate) * 1000;
        model.send({ rate: context.sampleRate, at: at / 1000 }, null, [pcm.buffer]);
      };
      context.createMediaStreamSource(stream).connect(node);
    };
    model.on("msg:custom", ({ rate }, [view]) => {
      const pcm = new Int16Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
      const sound = context.createBuffer(1, pcm.length, rate);
      sound.copyToChannel(Float32Array.from(pcm, (x) => x / 32768), 0);
      const source = new AudioBufferSourceNode(context, { buffer: sound });
      source.connect(context.destination);
      source.start();
    });
  };
  const render = ({ model, el }) => {
    el.innerHTML = `<section aria-label="Telephone"><button>Listen</button> <output></output></section>`;
    const [button, output] = [el.querySelector("button"), el.querySelector("output")];
    const show = () => (output.textContent = model.get("state"));
    model.on("change:state", show);
    show();
    button.onclick = () => listen().then(() => "listening", ({ name }) => name).then((state) => {
      model.set("state", state);
      model.save_changes();
    });
  };
  return { initialize, render };
};
"""
    state = traitlets.Unicode("ready").tag(sync=True)

    def __init__(self):
        super().__init__()
        self.rate, self.at, self.blocks = 0, 0, []
        self.on_msg(self.take)

    def take(self, _, content, buffers):
        if not self.blocks:
            self.rate, self.at = content["rate"], content["at"]
        self.blocks.append(bytes(buffers[0]))

    def play(self, pcm, rate):
        self.send({"rate": rate}, [pcm.tobytes()])

telephone = Telephone()
telephone
'''
BAD_WORKLET = """async () => {
  const context = new AudioContext();
  const module = 'registerProcessor("bad", class extends AudioWorkletProcessor { process() { throw new Error("unheard"); } });';
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([module], { type: "text/javascript" })));
  new AudioWorkletNode(context, "bad").connect(context.destination);
}"""


async def captured(page: Lab, seconds: float) -> Sound:
    """What came up from the microphone, once it is so much."""

    async def enough() -> bool:
        size, rate = await page.value("(sum(map(len, telephone.blocks)), telephone.rate)")
        return bool(rate and size / 2 / rate >= seconds)

    await page.until(enough)
    pcm, rate, at = await page.value("(b''.join(telephone.blocks), telephone.rate, telephone.at)")
    return Sound(np.frombuffer(pcm, np.int16), rate, at)


async def played(page: Lab, seconds: float) -> Sound:
    """What the page has put out, once it is so much, be it silence."""

    async def enough() -> bool:
        return (await page.heard()).seconds >= seconds

    await page.until(enough)
    return await page.heard()


async def play(page: Lab) -> None:
    """Let the kernel send the question down."""
    await page.execute(f"from patter_nb.audio.wav import read_wav; telephone.play(*read_wav({str(QUESTION)!r}))")


async def listen(page: Lab) -> None:
    """Press Listen, and wait until the microphone is open."""
    await page.region("Telephone").get_by_role("button", name="Listen").click()
    await page.region("Telephone").get_by_text("listening").wait_for()


async def test_a_notebook_is_run_broken_and_reloaded(lab: OpenLab) -> None:
    page = await lab("import time\nx = 3\nprint('hello')\nx + 1", "while True: time.sleep(0.1)", "1 / 0")
    assert await page.run(0) == "hello\n4"
    assert await page.value("x") == 3
    await page.run(1, wait=False)
    await page.interrupt()
    assert await page.finished(1, fails=True) == "KeyboardInterrupt: "
    assert await page.run(2, fails=True) == "ZeroDivisionError: division by zero"
    with pytest.raises(AssertionError, match="division by zero"):
        await page.run(2)
    await page.reload()
    assert await page.output(0) == "hello\n4"
    assert await page.value("x") == 3
    await page.restart()
    assert await page.value("'x' in globals()") is False


async def test_a_widget_is_found_by_name_and_survives_a_reload(lab: OpenLab) -> None:
    page = await lab(TELEPHONE)
    await page.run(0)
    await page.region("Telephone").get_by_text("ready").wait_for()
    await page.execute("telephone.state = 'new'")
    await page.region("Telephone").get_by_text("new").wait_for()
    await page.reload()
    await page.region("Telephone").get_by_text("new").wait_for()
    assert page.traffic.up > 0 and page.traffic.bytes_down > page.traffic.bytes_up


async def test_the_look_of_the_page(lab: OpenLab) -> None:
    page = await lab(TELEPHONE)
    await page.run(0)
    background = "() => getComputedStyle(document.body).getPropertyValue('--jp-layout-color0')"
    await page.theme("dark")
    dark = await page.js(background)
    await page.theme("light")
    assert await page.js(background) != dark
    await page.output_width(380)
    box = await page.cell(0).locator(".jp-Cell-outputArea").bounding_box()
    assert box is not None and round(box["width"]) == 380
    assert (await page.screenshot("harness", of=page.region("Telephone"))).stat().st_size > 500


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("() => void setTimeout(() => { throw new Error('lost') })", "lost"),
        ("() => void Promise.reject(new Error('forgotten'))", "forgotten"),
        (BAD_WORKLET, "audio worklet bad: .*unheard"),
    ],
    ids=["exception", "promise", "worklet"],
)
async def test_an_exception_that_nothing_caught_is_kept(lab: OpenLab, fault: str, told: str) -> None:
    page = await lab(autoplay=True)
    await page.js(fault)

    async def caught() -> bool:
        return bool(page.page_errors)

    await page.until(caught)
    [error] = page.page_errors
    assert re.search(told, error)
    page.page_errors.clear()  # or it would fail this test


@pytest.mark.models
async def test_the_microphone_plays_the_recording_from_its_beginning(lab: OpenLab, record: Recordings) -> None:
    page = await lab(TELEPHONE, microphone=await record(0.5, "It is raining in London.", 1.0, QUESTION, 1.0))
    await page.run(0)
    await page.quiet()
    await listen(page)
    sound = await captured(page, 6.0)
    (start, _), (_, stop) = sound.spans(gap_ms=500)
    assert "raining in London" in await sound.between(0, (start + stop) / 2).text()
    assert "What's the weather in" in await sound.between((start + stop) / 2, sound.seconds).text()


@pytest.mark.models
async def test_what_the_page_plays_is_heard(lab: OpenLab) -> None:
    page = await lab(TELEPHONE, autoplay=True)
    await page.run(0)
    await play(page)
    sound = await played(page, 4.0)
    assert "What's the weather in" in await sound.text()  # at 16 kHz by way of 44.1 kHz, Paris is now and then "pairs"
    [track] = await page.tracks()
    [(start, stop)] = track.spans()
    question, rate = read_wav(QUESTION)
    [(first, last)] = Sound(question, rate, 0).spans()
    assert stop - start == pytest.approx(last - first, abs=0.03)


async def test_without_a_click_nothing_is_heard(lab: OpenLab) -> None:
    page = await lab(TELEPHONE)
    await page.run(0)
    await play(page)
    await page.quiet(for_ms=1000)
    assert await page.js("() => navigator.userActivation.hasBeenActive") is False
    assert (await page.heard()).seconds == 0
    await listen(page)
    assert (await played(page, 2.0)).spans() != []


@pytest.mark.parametrize(("microphone", "state"), [("denied", "NotAllowedError"), ("missing", "NotFoundError")])
async def test_a_microphone_that_is_not_to_be_had(lab: OpenLab, microphone: str, state: str) -> None:
    page = await lab(TELEPHONE, microphone=microphone)
    await page.run(0)
    await page.region("Telephone").get_by_role("button", name="Listen").click()
    await page.region("Telephone").get_by_text(state).wait_for()
    assert await page.value("telephone.state") == state


async def test_the_room_echoes(lab: OpenLab) -> None:
    page = await lab(TELEPHONE, echo=Echo(delay_ms=300, loss_db=12))
    await page.run(0)
    await listen(page)
    await play(page)
    sound, echo = await played(page, 4.0), await captured(page, 4.5)
    [(start, stop)], [(echo_start, echo_stop)] = sound.spans(over_db=-48), echo.spans(over_db=-60)
    assert sound.between(start, stop).db - echo.between(echo_start, echo_stop).db == pytest.approx(12, abs=1)
    assert echo.at + echo_start - sound.at - start > 0.3
