"""Where text is cut for speech. "¦" marks the cuts; it is not part of the text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from patter_nb.pipeline.abbreviations import SENTENCE_STARTERS, abbreviation
from patter_nb.pipeline.sentences import FIRST_MIN, LONGEST, SHORT, SentenceChunker, SentenceState, flush, push, speakable


def pieces_of(*chunks: str, state: SentenceState | None = None) -> list[str]:
    state = state or SentenceState()
    pieces: list[str] = []
    for chunk in chunks:
        state, new = push(state, chunk)
        pieces += new
    return [*pieces, *flush(state)]


def assert_cut(marked: str) -> None:
    text = marked.replace("¦", "")
    assert pieces_of(text) == marked.split("¦")
    assert pieces_of(*text) == marked.split("¦")


ABBREVIATIONS = [
    "I met Dr. Smith there.",
    "Mr. Jones and Mrs. Jones came.",
    "Ask Ms. Taylor or Prof. Higgins.",
    "The Rev. Martin Luther King Jr. Day is in January.",
    "Apple Inc. Headquarters are in Cupertino.",
    "Toys Ltd. Directors met with Smith Co. Lawyers.",
    "It is on Main St. Corner of Fifth Ave. North.",
    "They live at St. Patrick Blvd. Twelve.",
    "Real vs. Barcelona starts soon.",
    "Use a codec, e.g. Opus, or i.e. Any.",
    "Gen. Grant met Sen. Sumner and Gov. Andrew.",
    "Call Lt. Columbo or Sgt. Pepper.",
    "See Fig. 3 and Vol. 2 on pp. 10 to 12.",
    "It is question No. 5 of ten.",
    "At 5 p.m. London time we meet.",
    "The U.S. Senate and the U.K. Parliament agree.",
    "She holds a Ph.D. Degree from Yale.",
    "Smith et al. Report good results.",
    "J. R. R. Tolkien and C. S. Lewis were friends.",
    "George W. Bush spoke.",
    "The meeting is on Jan. 5 at noon.",
    "Il Sig. Rossi e la Sig.ra Bianchi sono qui.",
    "La Dott.ssa Verdi e il Dott. Neri sono qui.",
    "L'Ing. Ferrari e l'avv. Russo arrivano.",
    "Porta frutta, ad es. Mele o pere.",
    "Vedi art. 5 e cfr. Legge 300.",
    "Lavora alla Fiat S.p.A. Torino.",
    "El Sr. García y la Sra. López llegan.",
    "La Srta. Ruiz y el Dr. Pérez llegan.",
    "Los EE. UU. Mexicanos, p. ej. Sonora.",
    "Frutas, por ej. Manzanas.",
    "Das ist z. B. Herr Maier oder z.B. Frau Huber.",
    "Hr. Maier, d. h. Hans Maier, kommt bzw. Peter kommt.",
    "Siehe Nr. 7 und vgl. Kapitel 2.",
    "Wir treffen uns am 3. Oktober in Berlin.",
    "Das kostet ca. 5 Mio. Euro.",
    "M. Dupont et Mme. Durand sont là.",
    "Mlle. Petit connaît MM. Blanc et Noir.",
    "On y va, p. ex. Lundi, avec J.-P. Sartre.",
    "O Sr. Silva e a Dra. Souza chegaram.",
    "O Exmo. Presidente e a Profa. Lima falam.",
    "Mora na Av. Paulista.",
]


@pytest.mark.parametrize("text", ABBREVIATIONS)
def test_an_abbreviation_does_not_end_a_sentence(text: str) -> None:
    # no early first piece here: the commas of these sentences are another matter
    state = SentenceState(first_min=LONGEST)
    assert pieces_of(text, state=state) == pieces_of(*text, state=state) == [text]
    assert pieces_of(text + " Then we go.", state=state) == [text + " ", "Then we go."]


CASES = {
    # sentences
    "two sentences": "It is sunny today. ¦Take a hat with you.",
    "three marks": "Is it raining? ¦It surely is! ¦Stay at home.",
    "first piece may be short": "Yes. ¦I can do that for you.",
    "a short one waits for the next": "It is sunny today. ¦Yes. Take a hat. ¦That is all.",
    "a short one at the end": "It is sunny today. ¦Yes.",
    "run of marks": "You did what?! ¦That is great!!! ¦Tell me more.",
    "digit follows": "I have them all. ¦5 people came.",
    "opening quotation follows": 'He was late. ¦"Sorry," he said.',
    "opening Spanish mark follows": "Hola, Ana. ¦¿Cómo estás hoy? ¦¡Qué bien!",
    "accented capital follows": "C'est fini. ¦Écoutez bien.",
    "Cyrillic": "Сегодня тепло. ¦Возьмите шляпу.",
    "Greek": "Κάνει ζέστη. ¦Πάρε καπέλο.",
    "lower case throughout": "hello there friend. ¦i am fine. how are you?",
    "emoji after the mark": "That is great!🎉 ¦Tell me more. ¦👍🏽 Really.",
    "emphasis closes after the mark": "**This is important.** ¦Do not forget it.",
    "white space is kept": "  It is sunny.  \t¦Take a hat.\n",
    # words that may and may not end a sentence
    "all capitals": "My name is RAMESH. ¦How are you?",
    "one name in capitals": "RAMESH. ¦How are you?",
    "short name in capitals": "Ask the IRS. ¦They know it.",
    "acronym, then a starter": "He lives in the U.S. ¦It is large.",
    "acronym, then a name": "He lives in the U.S. Virgin Islands.",
    "acronym, then small letters": "The U.S. economy grows.",
    "time, then a starter": "Come at 5 p.m. ¦We start then.",
    "time, then a question": "Está abierto a las 3 p.m. ¦¿Quiere ir?",
    "company, then a starter": "She works for Acme Inc. ¦They make anvils.",
    "list closed by etc.": "Bring apples, pears, etc. ¦Then we bake.",
    "no as an answer": "No. ¦That is wrong, I think.",
    "No. as a number": "We are in room No. 12 today.",
    "month as a word": "You can and you mar. ¦Then you mend.",
    "letter at the end": "You need vitamin C. ¦It helps a lot.",
    "small number at the end": "The answer is 42. ¦You are welcome.",
    "year at the end": "It was in 1999. ¦Paris was cold.",
    "German ordinal": "Heute ist der 2. Weltkrieg unser Thema.",
    # numbers, addresses and names with points
    "decimals": "Pi is 3.14 and in Europe 3,14. ¦That is enough.",
    "thousands": "It costs 1,000.50 or 1.000,50 each.",
    "version and address": "Version 1.2.3 runs on 192.168.0.1 now.",
    "times": "It opens at 10:30 or 10.30 today.",
    "web address": "See https://example.com/a.b?c=d.e! ¦It is all there.",
    "domain at the end": "Go to example.com. ¦It is all there.",
    "mail address": "Write to jane.doe@mail.example.org today.",
    "file name": "Open the file report.final.pdf now.",
    "Node.js": "I like Node.js and ASP.NET a lot.",
    # ellipsis, quotations, brackets
    "ellipsis goes on": "Well... maybe we should wait… or not.",
    "ellipsis ends": "I am not sure... ¦Maybe later.",
    "quotation ends inside": 'He said "Go." ¦Then he left.',
    "quotation goes on": '"Stop!" he said and left.',
    "curly quotation": "He said “Go.” ¦Then he left.",
    "bracket": "It rained (a lot!). ¦We stayed in. ",
    "bracketed sentence": "It rained all day. ¦(We stayed in.) ¦Then it stopped.",
    # lines
    "paragraphs": "The weather in Paris\n\n¦It is sunny",
    "wrapped line": "It is sunny\nin Paris today.",
    "list": "You need this\n¦- Milk\n¦- Eggs\n¦* Salt\n\n¦That is all",
    "numbered list": "Do this\n¦1. Open the lid\n¦2. Close the lid\n¦10) Rest",
    "number opens the text": "1. First you open it. ¦2. Then you close it.",
    "letter opens the text": "A. Open it.",
    "section number": "1.2. Scope of it all",
    "minus is no bullet": "It was cold\n-5 degrees",
    "heading": "# Weather\n¦It is sunny",
    "heading after text": "It is sunny\n¦## Tomorrow\n¦Rain",
    "fence": "Run this\n¦```sh\nls\n\n¦```",
    # scripts that need no space
    "Chinese": "你好。¦今天天气很好！¦你想去哪里？",
    "Chinese quotation": "他说：“你好。”¦然后他走了。",
    "Chinese with ASCII marks": "你好!¦今天天气很好.¦你想去哪里?",
    "Chinese ellipsis": "嗯……¦我想今天天气很好。",
    "Japanese brackets": "「そうですね。」¦今日はいい天気です。",
    "Japanese half width": "ｿｳﾃﾞｽﾈ｡¦今日はいい天気です。",
    "full-width decimal": "円周率は３．１４です。",
    "Korean": "안녕하세요. ¦오늘 날씨가 좋습니다. ¦네.",
    "Hindi": "नमस्ते।¦ आप कैसे हैं? ¦मैं ठीक हूँ।",
    "Arabic": "كيف حالك؟¦ أنا بخير شكرا. ¦وأنت يا صديقي؟",
    "Urdu": "یہ کتاب ہے۔¦ وہ بہت اچھی ہے۔",
    "Armenian": "Բարեւ ձեզ։¦ Ինչպես եք այսօր։",
    "Amharic": "ሰላም ነው።¦ እንዴት ነህ ዛሬ ጠዋት።",
    "Khmer": "សួស្តី។¦ អ្នកសុខសប្បាយទេ។",
    "Burmese": "မင်္ဂလာပါ။¦ နေကောင်းလား။",
    "Tibetan": "བཀྲ་ཤིས་བདེ་ལེགས།¦ ཁྱེད་རང་སྐུ་གཟུགས།",
}


@pytest.mark.parametrize("marked", CASES.values(), ids=CASES)
def test_cut(marked: str) -> None:
    state = SentenceState(first_min=LONGEST)
    text = marked.replace("¦", "")
    assert pieces_of(text, state=state) == pieces_of(*text, state=state) == marked.split("¦")


@pytest.mark.parametrize(
    "marked",
    [
        pytest.param(
            "Well, the weather in Paris is mild, ¦with sun, wind, and later on, a little rain. ¦Yes, really, all of it.", id="comma"
        ),
        pytest.param("The forecast for tomorrow says this: ¦sun.", id="colon"),
        pytest.param("The sun will be out all day today; ¦the rain comes later.", id="semicolon"),
        pytest.param("The sun will be out all day tomorrow—¦so they say.", id="em dash"),
        pytest.param("The sun will be out all day tomorrow – ¦so they say.", id="en dash"),
        pytest.param("The sun will be out all day tomorrow - ¦so they say.", id="hyphen"),
        pytest.param("今天巴黎的天气非常晴朗温暖，¦下午可能有一点风，请带帽子。", id="Chinese"),
        pytest.param("The sun is out, so take a hat.", id="too early"),
        pytest.param("The sun is out. ¦The weather in Paris is mild and friendly, with some wind.", id="only the first piece"),
        pytest.param("The offices are open on July 4, 2024, ¦and later.", id="between digits"),
        pytest.param("The number of people is about 12,000,000 in all.", id="thousands"),
        pytest.param("The weather service says tomorrow-and later-it rains.", id="hyphenated words"),
        pytest.param("The whole of it is open Monday–Friday or Sunday–Monday.", id="range"),
        pytest.param("It will cost you, all in all, about $20, more or less.", id="after a currency"),
        pytest.param("Il biglietto costa per tutti circa 12 €, tasse incluse.", id="currency after the number"),
        pytest.param('The old man said to us "it is mild, sunny and warm".', id="inside a quotation"),
        pytest.param("The old man said to us “it is mild, sunny and warm”.", id="inside a curly quotation"),
        pytest.param('The old man looked out and then said, "It is mild."', id="before a quotation"),
        pytest.param("The weather in Paris (which is mild, sunny and warm) is good.", id="inside brackets"),
        pytest.param('{"city": "Paris", "weather": "sunny", "wind": "mild"}', id="JSON"),
        pytest.param("Then you call `weather(city, day, hour, minute)` there.", id="code"),
        pytest.param("```python\nfor city, weather in forecast: print(city, weather)", id="fenced code"),
        pytest.param("The page is at https://example.com/a,b;c:d-e today.", id="web address"),
        pytest.param("他们说今天巴黎的天气非常好——¦真的。", id="double dash"),
    ],
)
def test_the_first_piece_may_end_at_a_clause(marked: str) -> None:
    assert_cut(marked)


def test_what_has_to_be_seen() -> None:
    def pushed(*chunks: str) -> list[str]:
        chunker = SentenceChunker()
        return [piece for chunk in chunks for piece in chunker.push(chunk)]

    assert pushed("你好。") == ["你好。"]
    assert pushed("नमस्ते।") == ["नमस्ते।"]
    assert pushed("كيف حالك؟") == ["كيف حالك؟"]
    assert pushed("「你好。") == []
    assert pushed("「你好。」") == ["「你好。」"]
    assert pushed("It is sunny. ") == []
    assert pushed("It is sunny. T") == ["It is sunny. "]
    assert pushed("He lives in the U.S. It") == []
    assert pushed("He lives in the U.S. It ") == ["He lives in the U.S. "]
    assert pushed("RAMESH.", " H") == ["RAMESH. "]


def test_an_acronym_at_the_end_waits_for_the_flush() -> None:
    chunker = SentenceChunker()
    assert chunker.push("It is in the U.S.") == []
    assert chunker.flush() == ["It is in the U.S."]


def test_flush_decides_what_was_open() -> None:
    state, pieces = push(SentenceState(), "It is in the U.S. It")
    assert pieces == ()
    assert flush(state) == ("It is in the U.S. ", "It")


def test_white_space_after_a_piece_already_taken_is_a_piece_of_its_own() -> None:
    assert pieces_of("你好。", "\n") == ["你好。", "\n"]


def test_long_text_is_cut_at_clauses_then_at_spaces_then_anywhere() -> None:
    state = SentenceState(first_min=LONGEST)
    clauses = "and so it goes on and on, " * 30
    assert all(piece.endswith("on, ") for piece in pieces_of(clauses, state=state))
    words = "and " * 200
    assert all(piece.endswith("and ") for piece in pieces_of(words, state=state))
    assert [len(piece) for piece in pieces_of("a" * 700)] == [LONGEST - 1, LONGEST - 1, 700 - 2 * (LONGEST - 1)]


def test_a_combining_mark_stays_with_its_letter() -> None:
    assert pieces_of("a" * (LONGEST - 2) + "e\u0301" * 3)[1][0] == "e"


def test_chunker_starts_anew_after_flush_and_reset() -> None:
    chunker = SentenceChunker()
    assert chunker.push("It is sunny. Take") == ["It is sunny. "]
    chunker.reset()
    assert chunker.flush() == []
    assert chunker.push("Yes. I ") + chunker.flush() == ["Yes. ", "I "]
    assert chunker.push("No. I ") == ["No. "]


def test_a_higher_first_min_waits_longer() -> None:
    text = "Well, the weather in Paris is mild, with sun, some wind, and rain."
    assert SentenceChunker(first_min=5).push(text)[0] == "Well, "
    assert SentenceChunker(first_min=50).push(text)[0] == "Well, the weather in Paris is mild, with sun, some wind, "


def test_state_is_bounded_and_a_value() -> None:
    state = SentenceState()
    for _ in range(10):
        state, _ = push(state, "((( " * 100 + " " * 500)
        assert len(state.held) < LONGEST
        assert len(state.unclosed) <= 8
    assert push(SentenceState(), "Hello there")[0] == push(push(SentenceState(), "Hello ")[0], "there")[0]


def test_the_tables_agree_with_themselves() -> None:
    assert {word for word in SENTENCE_STARTERS if abbreviation(word) == "title"} == {"On"}  # "l'On. Rossi", "On y va"
    assert abbreviation("Dr") == abbreviation("DR") == "title"
    assert abbreviation("Rep") == "title"
    assert abbreviation("rep") is None


# Every character class that the scanner tells apart, and whole words of the tables.
PARTS = st.sampled_from(
    list(".!?…,;:—–-\"'“”()[]{}«»「」`*_#>|~•$€ \n\t")
    + list("。！？；，、．।؟؛۔៕།")
    + "aA b It Dr U.S e.g No Inc J 12 3.14 ``` 你 好 ह ك e\u0301 🎉".split()
    + ["It ", "z. B", "\n\n", "\n- ", "\n1. ", " - ", "sunny ", "a" * 40, " " * 40]
)
TEXTS = st.lists(PARTS, max_size=60).map("".join) | st.text(max_size=200)


@given(TEXTS, st.lists(st.integers(0, 400), max_size=8), st.sampled_from([0, SHORT, FIRST_MIN]))
@example("x" * LONGEST + ". Y", [LONGEST], FIRST_MIN)
@example("?" * 400, [], FIRST_MIN)
def test_pieces_are_the_text_however_it_was_cut(text: str, cuts: list[int], first_min: int) -> None:
    state = SentenceState(first_min=first_min)
    pieces = pieces_of(text, state=state)
    assert "".join(pieces) == text
    assert pieces_of(*text, state=state) == pieces
    edges = [0, *sorted(cuts), len(text)]
    assert pieces_of(*(text[a:b] for a, b in pairwise(edges)), state=state) == pieces


@given(TEXTS)
def test_pieces_are_short_and_not_empty(text: str) -> None:
    pieces = pieces_of(text)
    assert all(0 < len(piece) <= LONGEST for piece in pieces)
    assert all(speakable(piece) or len(piece) > LONGEST // 2 for piece in pieces[:-1])


@given(
    st.lists(st.sampled_from(["It is sunny.", "Dr. Lee is in.", "Is it 3.14?", "Go to a.com now!"]), min_size=1),
    st.sampled_from([" ", "\n", "  ", "\n\n"]),
)
def test_white_space_between_sentences_goes_with_the_one_before(sentences: list[str], space: str) -> None:
    *before, last = sentences
    assert pieces_of(*space.join(sentences)) == [*(sentence + space for sentence in before), last]
