"""What is left of an answer when it is read aloud."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from patter_nb.pipeline.markup import LONGEST_HELD
from patter_nb.pipeline.sentences import SentenceChunker
from patter_nb.pipeline.speech_text import SpeechFilter, speech_text


def streamed(text: str) -> str:
    speech = SpeechFilter()
    return "".join(map(speech.push, text)) + speech.flush()


REMOVED = {
    "bold": ("This is **bold** and __bold__.", "This is bold and bold."),
    "italic": ("This is *italic* and _italic_.", "This is italic and italic."),
    "bold and italic": ("This is ***both*** and **_both_** and *__both__*.", "This is both and both and both."),
    "nested": ("**Bold *italic* bold** text", "Bold italic bold text"),
    "product in bold": ("**2*3 is 6**", "2*3 is 6"),
    "in a word, closing": ("**In**side", "Inside"),
    "in Chinese": ("这是**重点**内容", "这是重点内容"),
    "around a quotation": ('He said **"Go!"** and left', 'He said "Go!" and left'),
    "strike": ("It is ~~cold~~ warm", "It is cold warm"),
    "over two lines": ("**It is\nsunny** today", "It is\nsunny today"),
    "over two sentences": ("**It is sunny. Take a hat.** Now.", "It is sunny. Take a hat. Now."),
    "headings": ("# One\n## Two\n###### Six\nText", "One\nTwo\nSix\nText"),
    "bullets": ("- one\n* two\n+ three\n  - four\n• five", "one\ntwo\nthree\nfour\nfive"),
    "bullet, then bold": ("* **Milk**: 2 l", "Milk: 2 l"),
    "check boxes": ("- [ ] open\n- [x] done", "open\ndone"),
    "quotation": ("> It is sunny\n> > and warm", "It is sunny\nand warm"),
    "rules": ("one\n\n---\n\ntwo\n***\nthree\n* * *\nfour\n___\nfive\n=====\nsix", "one\n\ntwo\n\nthree\n\nfour\n\nfive\n\nsix"),
    "inline code": ("Call `f(*args, **kw)` now", "Call f(*args, **kw) now"),
    "code with backticks": ("Call ``a ` b`` now", "Call a ` b now"),
    "three backticks in a line": ("```ls -l``` lists", "ls -l lists"),
    "fence": ("Run:\n```python\nx = a * b * c\n# note\n```\n**Done**", "Run:\nx = a * b * c\n# note\n\nDone"),
    "tilde fence": ("~~~\n```\n~~~\nend", "```\n\nend"),
    "fence never closed": ("```\n**x**", "**x**"),
    "longer fence": ("````\n```\n````\nend", "```\n\nend"),
    "link": ("See [the docs](https://a.b/c?d=e) now", "See the docs now"),
    "link with title and brackets": ('See [the **[big]** docs](https://a.b/(c) "x") now', "See the [big] docs now"),
    "image": ("Here ![a cat](cat.png) sits", "Here a cat sits"),
    "linked image": ("[![a cat](cat.png)](https://a.b) sits", "a cat sits"),
    "web address in angle brackets": ("See <https://a.b/c> or <me@a.bc>", "See https://a.b/c or me@a.bc"),
    "tags": ('A <b>bold</b> <a href="x">link</a><br/>next<!-- hidden --> line', "A bold link next line"),
    "table": ("| City | Sky |\n|:---|---:|\n| Paris | sunny |\n\nEnd", "City, Sky\n\nParis, sunny\n\nEnd"),
    "escapes": (r"2 \* 3 and \_x\_ and C:\temp", "2 * 3 and _x_ and C:\\temp"),
    "emoji": ("Hi 👋 there! 🎉 Great", "Hi there! Great"),
    "emoji at the edges": ("🎉 Great 🎉", "Great"),
    "emoji before a mark": ("Great 🎉! (well 🙂) and (🙂 well)", "Great! (well) and (well)"),
    "emoji without spaces": ("Great🎉now", "Great now"),
    "flags, families, skin tones, professions": ("a 🇫🇷 b 👨‍👩‍👧 c 👍🏽 d 👩‍⚕️ e 🏳️‍🌈 f 🏴󠁧󠁢󠁥󠁮󠁧󠁿 g", "a b c d e f g"),
    "hearts, dingbats, symbols": ("a ❤️ b ✅ c ☀️ d ⭐ e ⏰ f", "a b c d e f"),
    "keycaps keep their digit": ("1️⃣ Open it", "1 Open it"),
    "emoji alone": ("🎉🎉 🎉", ""),
    "white space": ("  a   b \n\n\n\n c\t ", "a b\n\nc"),
    "carriage returns": ("# One\r\n\r\n- two\r\n", "One\n\ntwo"),
}

KEPT = [
    "3 * 4 = 12 and 2*3 = 6 and 2**3 = 8",
    "snake_case and my_long_name and _",
    "a < b and b > c and <3 and 1<2>0",
    "C# and F# and issue #1",
    "#hashtag",
    "A 5* hotel, about ~5 km away",
    "a*b*c",
    "-5 degrees",
    "1. First",
    "wow!",
    "[sic] and [1] and a[i]",
    "f(x) = [a, b]",
    "List<K, V> and if a <b and c> d",
    "it is 5 | 6",
    "50% & more, $3.14 @ home ^ up",
    "C♯ is a note",
    "© 2024 ACME™",
    "क्‍ष और می‌خواهم",
    "e-mail me at a_b@c.de",
    "See https://a.b/c_d_e?x=1 now",
    "1, 2, 3... go",
    "日本語のテキスト。",
]


@pytest.mark.parametrize(("text", "spoken"), REMOVED.values(), ids=REMOVED)
def test_removed(text: str, spoken: str) -> None:
    assert speech_text(text) == spoken
    assert streamed(text) == spoken


@pytest.mark.parametrize("text", KEPT)
def test_kept(text: str) -> None:
    assert speech_text(text) == text
    assert streamed(text) == text


def test_nothing_waits_for_a_mark_to_be_closed() -> None:
    speech = SpeechFilter()
    assert speech.push("**Note that _x and ~~y") == "Note that x and y"
    assert speech.push(" [") == ""
    assert speech.push("that") == ""
    assert speech.push(" is](") == " that is"


def test_what_was_left_open_ends_with_the_paragraph() -> None:
    assert speech_text("*Terms apply\n\nA 5* hotel") == "Terms apply\n\nA 5* hotel"
    assert speech_text("it`s so\n\n*that* is") == "its so\n\nthat is"


def test_pieces_hold_nothing_back_and_share_their_marks() -> None:
    speech = SpeechFilter()
    said = [speech.piece(text) for text in ("**It is sunny! ", "Take a hat.** ", "See [the docs. ", "All](https://a.b) of it!")]
    assert said == ["It is sunny!", " Take a hat.", " See [the docs.", " All of it!"]
    assert speech.flush() == ""


def test_flush_starts_another_answer() -> None:
    speech = SpeechFilter()
    assert speech.push("```\n*a") == "*a"
    assert speech.flush() == ""
    assert speech.push(" *b* ") + speech.flush() == "b"


def test_what_is_too_long_to_wait_for_is_text() -> None:
    label = "x" * LONGEST_HELD
    assert speech_text(f"[{label}] y") == f"[{label}] y"
    assert streamed(f"<{label}> y") == f"<{label}> y"


# Every mark, alone and in the forms that mean something, between words.
PARTS = st.sampled_from(
    list("\\`*_~![]()<>|#-+=:/. \t\nxX1é你🎉\u200d\ufe0f\u20e3•")
    + "** *** ~~ ``` ~~~ ]( ![ <b> </b> <br> <a a_b word".split()
    + ["|---|\n", "\n- ", "\n# ", "\n> ", "\n\n", "\n| ", "\n```py\n"]
)
TEXTS = st.lists(PARTS, max_size=60).map("".join) | st.text(max_size=200)


@given(TEXTS, st.lists(st.integers(0, 300), max_size=6))
@example("`" * 400 + "\n" + "*" * 400 + "[" * 400, [])
def test_the_result_does_not_depend_on_the_chunks(text: str, cuts: list[int]) -> None:
    spoken = speech_text(text)
    assert streamed(text) == spoken
    speech = SpeechFilter()
    edges = [0, *sorted(cuts), len(text)]
    assert "".join(speech.push(text[a:b]) for a, b in pairwise(edges)) + speech.flush() == spoken


@given(TEXTS)
def test_no_emoji_and_no_gaps_are_left(text: str) -> None:
    spoken = speech_text(text)
    assert "🎉" not in spoken
    assert "  " not in spoken
    assert "\n\n\n" not in spoken
    assert spoken == spoken.strip(" \t\n\r")


WORD = st.sampled_from(["sunny", "Paris", "3", "snake_case", "don't", "C#", "你好", "e.g.", "(well)", "2 * 3"])
WORDS = st.lists(WORD, min_size=1, max_size=4).map(" ".join)
PLAIN = WORDS.map(lambda words: (words, words))
CODE = WORDS.map(lambda words: (f"`{words}`", words))
MARKS = [("**", "**"), ("*", "*"), ("~~", "~~"), ("<b>", "</b>"), ("[", "](https://a.b/c_d)"), ("![", "](c.png)"), ("🎉 ", " 🎉")]


def wrapped(inner: st.SearchStrategy[tuple[str, str]]) -> st.SearchStrategy[tuple[str, str]]:
    return st.tuples(inner, st.sampled_from(MARKS)).map(lambda pair: (pair[1][0] + pair[0][0] + pair[1][1], pair[0][1]))


SPANS = PLAIN | CODE | wrapped(PLAIN)
LINES = st.tuples(st.sampled_from(["", "- ", "# ", "> ", "* ", "> - "]), st.lists(SPANS, min_size=1, max_size=4)).map(
    lambda line: (line[0] + " ".join(marked for marked, _ in line[1]), " ".join(plain for _, plain in line[1]))
)


@given(st.lists(LINES, min_size=1, max_size=5))
def test_well_formed_markdown_reads_as_its_text(lines: list[tuple[str, str]]) -> None:
    assert speech_text("\n\n".join(marked for marked, _ in lines)) == "\n\n".join(plain for _, plain in lines)


@given(st.lists(LINES, min_size=1, max_size=5), st.sampled_from([". ", ".\n", "! ", "?\n\n"]))
def test_sentence_by_sentence_reads_as_the_whole(lines: list[tuple[str, str]], end: str) -> None:
    text = "".join(marked + end for marked, _ in lines)
    chunker, speech = SentenceChunker(), SpeechFilter()
    pieces = [piece for char in text for piece in chunker.push(char)] + chunker.flush()
    assert "".join(map(speech.piece, pieces)) == speech_text(text)
