"""An agent that speaks by the browser's own voice, in a real JupyterLab. The voice is a stand-in, for a machine that tests has none."""

from __future__ import annotations

import pytest
from lab_page import Lab, OpenLab
from person import IMPORTS, say, shown, until_value

pytestmark = [pytest.mark.browser, pytest.mark.slow]

STORY = "Ships came here from the north and from the south and each of them was painted by the captain who had lost it."
VOICE = """() => {
  const events = [];
  let now = null;
  class Utterance { constructor(text) { this.text = text; } }
  const synthesis = {
    getVoices: () => [],
    speak(utterance) {
      events.push(["speak", utterance.text]);
      const timers = [];
      now = { utterance, timers };
      const words = [...utterance.text.matchAll(/\\S+/g)];
      timers.push(setTimeout(() => utterance.onstart(), 20));
      words.forEach((word, n) => timers.push(setTimeout(() => utterance.onboundary({ charIndex: word.index }), 30 + n * WORD_MS)));
      timers.push(setTimeout(() => { now = null; events.push(["end", utterance.text]); utterance.onend(); }, 60 + words.length * WORD_MS));
    },
    cancel() {
      if (now === null) return;
      const { utterance, timers } = now;
      now = null;
      timers.forEach(clearTimeout);
      events.push(["cancel", utterance.text]);
      utterance.onerror({ error: "canceled" });
    },
  };
  Object.defineProperty(window, "speechSynthesis", { value: synthesis, configurable: true });
  Object.defineProperty(window, "SpeechSynthesisUtterance", { value: Utterance, configurable: true });
  window.spokenAloud = events;
}"""


def serving(*replies: str) -> str:
    return (
        f"{IMPORTS}\nfrom patter_nb.tts.browser import BrowserTTS\n"
        f"session = await Patter().serve(Patter().agent(llm=ScriptedLLM({list(replies)!r}), tts=BrowserTTS()))"
    )


async def voiced(page: Lab, word_ms: int) -> None:
    await page.page.evaluate(VOICE.replace("WORD_MS", str(word_ms)))


async def test_the_agent_speaks_by_the_browser_and_is_heard_word_by_word(lab: OpenLab) -> None:
    page = await lab(serving("It is sunny in Rome.", "You are welcome."), "session")
    await voiced(page, 60)
    await shown(page)
    await say(page, "Weather?")
    await until_value(page, "session.turns[-1].heard_text == 'It is sunny in Rome.'")
    assert await page.page.evaluate("spokenAloud") == [["speak", "It is sunny in Rome."], ["end", "It is sunny in Rome."]]
    await page.region("Transcript").get_by_text("It is sunny in Rome.").wait_for()
    assert await page.value("[type(e.body).__name__ for e in session.events if 'Playback' in type(e.body).__name__]") == [
        "PlaybackStarted",
        "PlaybackEnded",
    ]
    await page.screenshot("browser_voice")


async def test_who_types_into_it_silences_it_and_has_heard_what_was_spoken(lab: OpenLab) -> None:
    page = await lab(serving(STORY, "All right."), "session")
    await voiced(page, 400)
    await shown(page)
    await say(page, "Tell me.")
    await until_value(page, "session._conductor.state.voice.played > 40_000")
    await say(page, "Stop.")
    await until_value(page, "session.turns[-1].heard_text == 'All right.'")
    assert await page.value("session.turns[0].status") == "interrupted"
    heard = await page.value("session.turns[0].heard_text")
    assert heard and STORY.startswith(heard.strip()) and len(heard) < len(STORY)
    events = await page.page.evaluate("spokenAloud")
    assert [kind for kind, _ in events] == ["speak", "cancel", "speak", "end"]


async def test_a_browser_without_a_voice_says_so_and_the_conversation_goes_on(lab: OpenLab) -> None:
    page = await lab(serving("It is sunny in Rome."), "session")
    await page.page.evaluate("Object.defineProperty(window, 'speechSynthesis', { value: undefined, configurable: true })")
    await shown(page)
    await say(page, "Weather?")
    await page.page.get_by_role("alert").filter(has_text="This browser cannot speak by itself").first.wait_for()
    await until_value(page, "session.turns[-1].heard_text == 'It is sunny in Rome.'")
