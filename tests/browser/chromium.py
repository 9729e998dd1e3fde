"""The machine's own Chromium under Playwright, with the microphone that a test wants: a recording, refused, or not there at all."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from lab_server import INSECURE_HOST
from page_sound import Echo, script

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext

NAMES = ("chromium", "chromium-browser", "google-chrome")

ALWAYS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--no-proxy-server",
)
FAKE = "--use-fake-device-for-media-stream"
ALLOWED = "--use-fake-ui-for-media-stream"

Microphone: TypeAlias = Path | Literal["silent", "denied", "missing"]
"""A recording (48 kHz WAV), played once whenever the microphone is opened; one that hears nothing; refused by the person; or none."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a test's browser is like. `autoplay`: sound may start without a click; JupyterLab's users have it only after one."""

    microphone: Microphone = "silent"
    echo: Echo | None = None
    autoplay: bool = False
    width: int = 1280
    height: int = 900
    flags: Sequence[str] = ()
    insecure: bool = False
    """The page is opened over plain http by a name that is not this computer's: browsers call that an insecure origin."""
    policy: str = ""
    """The Permissions-Policy under which the page is shown, as a front end that has the page in a frame of its own may do."""


COUNT_MICROPHONES = """(() => {
  if (!window.isSecureContext) return;
  const tracks = [];
  const { getUserMedia } = MediaDevices.prototype;
  MediaDevices.prototype.getUserMedia = async function (constraints) {
    const stream = await getUserMedia.call(this, constraints);
    tracks.push(...stream.getTracks());
    return stream;
  };
  window.__microphones = () => tracks.filter(({ readyState }) => readyState === "live").length;
})()"""


class OpenBrowser(Protocol):
    """Opens a Chromium, until the end of the test."""

    async def __call__(self, setup: Setup = ...) -> BrowserContext: ...


def executable() -> str | None:
    """The path of the Chromium on this machine."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@asynccontextmanager
async def chromium(setup: Setup, silence: Path) -> AsyncIterator[BrowserContext]:
    """A browser of its own, without profile, until the end of the block. `silence` is the recording that a silent microphone plays."""
    from playwright.async_api import async_playwright

    flags = [*ALWAYS, *_microphone(setup.microphone, silence), *setup.flags]
    if setup.insecure:
        flags.append(f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1")
    if setup.autoplay:
        flags.append("--autoplay-policy=no-user-gesture-required")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=flags)
        try:
            context = await browser.new_context(viewport={"width": setup.width, "height": setup.height})
            await context.add_init_script(script(setup.echo))
            await context.add_init_script(COUNT_MICROPHONES)
            yield context
        finally:
            await browser.close()


def _microphone(microphone: Microphone, silence: Path) -> list[str]:
    if microphone == "denied":
        return [FAKE]  # headless, nobody is there who could allow it
    if microphone == "missing":
        return [ALLOWED, "--disable-audio-input"]
    recording = silence if microphone == "silent" else microphone
    return [ALLOWED, FAKE, f"--use-file-for-fake-audio-capture={recording}%noloop"]
