"""How fast text is cut and prepared for speech: `python bench/sentences.py`.

Each row is a text of 100,000 characters. "by char" pushes it one character at a time, "at once" in one push, "join" only joins
the characters: the floor for anything that looks at each. A scanner that started over at each push would show a ratio that grows
with the text; the last column is the time by character for the text against that for a tenth of it, 10 when linear.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from patter_nb.pipeline.sentences import SentenceState, flush, push
from patter_nb.pipeline.speech_text import SpeechFilter

SIZE = 100_000
ROUNDS = 3
TEXTS = {
    "prose": "Dr. Rossi says the weather in Paris is mild today, with some wind. It costs $3.14, or 3,14 euros. Really? Yes. ",
    "markdown": "## The *plan*\n\n- **Buy** `milk` and [eggs](https://a.b/c) 🎉\n- snake_case, 3 * 4\n\n| a | b |\n|---|---|\n\n",
    "Chinese": "你好。今天巴黎的天气很好，下午可能有一点风。你想去哪里？",
    "no boundary": "and so on ",
    "no space": "a",
    "white space": " ",
    "periods": ".",
    "open brackets": "[",
    "open tags": "<a ",
}


def cut(chunks: Iterable[str]) -> None:
    state = SentenceState()
    for chunk in chunks:
        state, _ = push(state, chunk)
    flush(state)


def prepare(chunks: Iterable[str]) -> None:
    speech = SpeechFilter()
    for chunk in chunks:
        speech.push(chunk)
    speech.flush()


def join(chunks: Iterable[str]) -> None:
    "".join(chunks)


def seconds(work: Callable[[Iterable[str]], None], chunks: Iterable[str]) -> float:
    """The best of `ROUNDS`."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work(chunks)
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    for name, work in (("sentences", cut), ("speech_text", prepare)):
        print(f"{name:16}{'by char':>14}{'at once':>14}{'ratio':>8}{'to join':>9}{'10x text':>10}")
        for title, sample in TEXTS.items():
            text = (sample * (SIZE // len(sample) + 1))[:SIZE]
            by_char, at_once, floor = seconds(work, text), seconds(work, [text]), seconds(join, text)
            growth = by_char / seconds(work, text[: SIZE // 10])
            rates = f"{SIZE / by_char:>10,.0f} c/s{SIZE / at_once:>10,.0f} c/s"
            print(f"{title:16}{rates}{by_char / at_once:>8.1f}{by_char / floor:>9.0f}{growth:>10.1f}")


if __name__ == "__main__":
    main()
