import re
import unicodedata
from datetime import date, time
from time import thread_time

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.corpus_files import corpus_paths, read_corpus
from labeling.masking import mask_contacts

# Numbers that the authorities of Britain, France, Sweden and the US keep for fiction, and ones that exist nowhere.
FICTIONAL = st.one_of(
    st.from_regex(r"\+44 7700 900[1-9]{3}", fullmatch=True),
    st.from_regex(r"07700 900[1-9]{3}", fullmatch=True),
    st.from_regex(r"06 39 98 [1-9]{2} [1-9]{2}", fullmatch=True),
    st.from_regex(r"\+33 1 99 00 [1-9]{2} [1-9]{2}", fullmatch=True),
    st.from_regex(r"070-17406[1-3][1-9]", fullmatch=True),
    st.from_regex(r"\+1 202-555-01[1-9]{2}", fullmatch=True),
    st.from_regex(r"00 359 00 [1-9]{3} [1-9]{3}", fullmatch=True),
)
SEPARATORS = st.sampled_from(["", " ", "-", ".", "/", " - ", "  ", "–", " . ", "\u00a0"])
DIGIT_FORMS = {
    "plain": "0123456789",
    "full-width": "０１２３４５６７８９",
    "styled": "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗",
    "circled": "⓪①②③④⑤⑥⑦⑧⑨",
    "Arabic": "٠١٢٣٤٥٦٧٨٩",
}
AROUND = [
    ("Bel ", " na vijf uur."),
    ("Обадете се на ", ", след 17 ч."),
    ("Hívjon: ", ", délután"),
    ("Escríbeme al ", " o pasa por aquí"),
    ("Зателефонуйте ", " увечері"),
    ("للحجز ", " مساء"),
    ("", ""),
]


def digits(text: str) -> str:
    return "".join(c for c in text if unicodedata.digit(c, None) is not None)


def is_masked(text: str) -> bool:
    return all(unicodedata.digit(c) == 0 for c in digits(text))


@settings(deadline=None)
@given(FICTIONAL, SEPARATORS, st.sampled_from(sorted(DIGIT_FORMS)), st.sampled_from(AROUND))
def test_no_digit_of_a_phone_number_is_left(number: str, separator: str, form: str, around: tuple[str, str]) -> None:
    written = re.sub(r"[ \-]", separator, number).translate(dict(zip(map(ord, "0123456789"), DIGIT_FORMS[form], strict=True)))
    masked = mask_contacts(around[0] + written + around[1])
    inside = masked[len(around[0]) : len(masked) - len(around[1])]
    assert is_masked(inside)
    assert all(c in DIGIT_FORMS[form] for c in digits(inside)), "the form of the digits stays"
    assert masked.startswith(around[0])
    assert masked.endswith(around[1])


@settings(deadline=None)
@given(FICTIONAL, st.sampled_from(["🌸", " 🌸 ", " * ", "…", ", ", "_", " ~ ", "\u200b"]))
def test_padding_between_single_digits_does_not_help(number: str, padding: str) -> None:
    padded = padding.join(digits(number))
    assert mask_contacts(padded) == re.sub(r"\d", "0", padded)


@settings(deadline=None)
@given(FICTIONAL)
def test_emoji_digits_become_emoji_zeros(number: str) -> None:
    emoji = "".join(c + "\ufe0f\u20e3" for c in digits(number))
    assert mask_contacts(f"app {emoji}") == "app " + "0\ufe0f\u20e3" * len(digits(number))


WRITTEN = {
    "bg": "нула осем осем осем нула нула едно две три четири",
    "de": "null eins fünf sieben null null eins zwei drei sechsundvierzig",
    "en": "oh seven seven double-oh nine hundred one two three",
    "es": "seis cero cero ciento uno dos tres cuatro cinco seis siete",
    "fr": "zéro six trente-neuf quatre-vingt-dix-huit zéro un vingt et un",
    "hu": "nulla hat harminc egy kettő három négy öt hat huszonhét",
    "it": "tre nove zero uno due tre quattro cinque ventisei sette",
    "nl": "nul zes nul een twee drie vier vijf zes zevenentwintig",
    "pl": "pięć zero zero jeden dwa trzy cztery pięć sześć",
    "pt": "nove um zero um dois três quatro cinco seis sete",
    "ro": "zero șapte zero unu doi trei patru cinci șase șapte",
    "tr": "sıfır beş yüz bir iki üç dört beş altı yedi sekiz",
    "uk": "нуль дев'ять нуль один два три чотири п'ять шість сім",
}


@pytest.mark.parametrize("language", WRITTEN)
def test_a_number_in_words_becomes_zeros_in_words(language: str) -> None:
    written = WRITTEN[language]
    masked = mask_contacts(f"({written})")
    assert len(masked) == len(written) + 2
    zero = re.findall(r"\w+", masked)[-1][0]
    changed = [b for a, b in zip(re.findall(r"[\w']+", written), re.findall(r"[\w']+", masked[1:-1]), strict=True) if a != b]
    assert len(changed) >= 5
    assert all(word.startswith(zero) for word in changed)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("O6 l2 34 56 78 Ilse", "O0 O0 00 00 00 Ilse"),
        ("🔟 06 39 98 🔟 55", "⓪ 00 00 00 ⓪ 00"),
        ("nul6 39 acht 98 55 zes", "nul0 00 null 00 00 nul"),
        ("NUL zes EEN twee drie Vier vijf", "NUL nul NUL null null Null null"),
        ("app 0639981234 €50 per uur", "app 0000000000 €50 per uur"),
        ("tel 612345678 € 50", "tel 000000000 € 50"),
        ("18 jaar, 06-39981234, 24 uur", "18 jaar, 00-00000000, 24 uur"),
        ("от 01.02.2026 г., тел. 0888 123 456", "от 01.02.2026 г., тел. 0000 000 000"),
        ("2026. 05. 12. 8-16 óráig, 06 30 123 4567", "2026. 05. 12. 8-16 óráig, 00 00 000 0000"),
        ("06:12:34:56:78", "00:00:00:00:00"),
        ("+31600000000, 612340000, 2500000 forint", "+00000000000, 000000000, 2500000 forint"),
        ("two: 600 111 222 / 600 333 444", "two: 000 000 000 / 000 000 000"),
    ],
)
def test_a_phone_number_among_other_numbers(text: str, masked: str) -> None:
    assert mask_contacts(text) == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("mail jan.smit@voorbeeld.example nu", "mail xxx.xxxx@xxxxxxxxx.xxxxxxx nu"),
        ("info(at)praxis-a.example", "xxxx(at)xxxxxx-x.xxxxxxx"),
        ("fryzura małpa kutno kropka pl.", "xxxxxxx małpa xxxxx kropka xx."),
        ("jobs at clearscript dot example", "xxxx at xxxxxxxxxxx dot xxxxxxx"),
        ("вера＠пример.example", "xxxx＠xxxxxx.xxxxxxx"),
        ("Telegram @klaas_x, ja", "Telegram @xxxxx_x, ja"),
        ("insta: lila_22", "insta: xxxx_00"),
        ("Snap erwan.ajx!", "Snap xxxxx.xxx!"),
        ("https://voorbeeld.example/pad?a=1 zie", "https://xxxxxxxxx.xxxxxxx/xxx?x=0 zie"),
        ("www.voorbeeld.example", "www.xxxxxxxxx.xxxxxxx"),
        ("op kwekerij-bos.nl staat", "op xxxxxxxx-xxx.xx staat"),
        ("t.me/klaas wa.me/316", "x.xx/xxxxx xx.xx/000"),
    ],
)
def test_addresses(text: str, masked: str) -> None:
    assert mask_contacts(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "100/150/200/300 euro, 18 19 20 21 jaar, 12-05-2026, 10.00-22.00 uur",
        "2019 2020 2021; 2019-2024; 12 05 2024; 1985-1990-1995",
        "1 500 000 Ft, 2.500.000 Ft, bruttó 480 000 forint, havi 280 000-320 000 Ft",
        "от 01.02.2026 до 05.02.2026 г., 12:30-14:00, 1 200 лв. на седмица, 2500 лв",
        "800/1200 €, € 15,06 per uur, $2000-6000, 5.500–7.000 net, 1.2 benzină, 148.000 km",
        "01.02.26-05.02.26; 01-02 - 05-02; 08.00-17.00; 0800-1700; 2026-05-12T10:00",
        "90-60-90, 170 cm, 55 kg, 18+ 21+ 24/7, 1, 2, 3, 4, 5, 6, 7, 8, 9",
        "two or three of us, from one to five. Born in nineteen ninety nine",
        "één, twee of drie personen; een voor een; Telegram only, WhatsApp or phone, Signal: na vijf uur",
        "10 eur @ uur. Het contract.De kosten per uur.It is",
        "Pick-up at 5.30. Thursday at 6.40 and home by 18:15",
        "½ dag, 2³, ①②③, art. 12.3.4",
    ],
)
def test_prices_ages_dates_times_and_years_stay(text: str) -> None:
    assert mask_contacts(text) == text


@settings(deadline=None)
@given(
    st.integers(16, 99),
    st.integers(5, 99_999),
    st.dates(date(1900, 1, 1), date(2099, 12, 31)),
    st.times(),
    st.sampled_from(["€", "$", "£", "лв", "Ft", "zł", "lei"]),
)
def test_an_ad_without_a_contact_stays(age: int, price: int, day: date, time: time, currency: str) -> None:
    price_text = f"{price} {currency}"
    dates = f"{day:%d-%m-%Y}, {day:%d.%m.%Y} г., {day:%Y}. {day:%m}. {day:%d}."
    text = f"{age} jaar, {price_text}, {dates} {time:%H:%M}, {price_text}"
    assert mask_contacts(text) == text


CHARACTERS = list("0123456789 -./()+@_:,\nOlx€０⑦٣İﬃ🌸\u0301\ufe0f\u20e3\U00010330")
WORDS = ["06", "00", "12-05-", "2024", "nul", "zes", "een", "seven", "сім", "нула", "at", "dot", ".nl", "www.", "insta ", "км"]
PIECES = st.sampled_from(CHARACTERS + WORDS)
ANY_TEXT = st.one_of(st.text(), st.lists(PIECES, max_size=40).map("".join))


@settings(deadline=None)
@given(ANY_TEXT)
def test_the_length_stays_and_a_second_masking_changes_nothing(text: str) -> None:
    masked = mask_contacts(text)
    assert len(masked) == len(text)
    assert mask_contacts(masked) == masked


@settings(deadline=None)
@given(ANY_TEXT)
def test_only_letters_and_digits_are_replaced(text: str) -> None:
    for before, after in zip(text, mask_contacts(text), strict=True):
        assert before == after or before.isalnum() or unicodedata.category(before) in ("No", "So")


def test_nothing_that_libphonenumber_finds_is_left() -> None:
    """Numbers of many countries as libphonenumber itself writes them; its examples belong to nobody."""
    left = []
    for region in ("NL", "BE", "DE", "FR", "GB", "ES", "PT", "IT", "PL", "RO", "HU", "BG", "UA", "TR", "AT", "CH", "CZ", "GR"):
        for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE):
            number = phonenumbers.example_number_for_type(region, kind)
            for form in (
                phonenumbers.PhoneNumberFormat.E164,
                phonenumbers.PhoneNumberFormat.INTERNATIONAL,
                phonenumbers.PhoneNumberFormat.NATIONAL,
            ):
                written = phonenumbers.format_number(number, form)
                if not is_masked(mask_contacts(f"tel. {written} ma-vr")):
                    left.append((region, kind, form))
    assert left == []


def test_the_corpus_stays_but_for_its_contacts() -> None:
    """Its phone numbers are zeros and its other contacts few, so nearly all texts stay, and spans hold the same words."""
    examples = [item.example for item in read_corpus(corpus_paths())][::3]
    contact = re.compile(
        r"@|\bat\b|małpa|[+0]|zero|null?|нул|n.u.l|nul|cero|zéro|zer|oh|nove|tre|ocho|Snap|IG|Discord|insta|tg", re.IGNORECASE
    )
    changed = [(e, m) for e in examples if (m := mask_contacts(e.text)) != e.text]
    assert len(changed) < 0.06 * len(examples)
    for example, masked in changed:
        assert contact.search(example.text), example.id
        for span in example.spans:
            if span.label != "obfuscated_contact":
                words = zip(example.text[span.start : span.end], masked[span.start : span.end], strict=True)
                assert sum(a != b for a, b in words) <= 30, example.id


@pytest.mark.parametrize(
    "hostile",
    [
        "0 ",
        "1",
        "a",
        "a.",
        "a@",
        "@",
        "a-",
        "06-",
        "1,",
        "nul ",
        "insta ",
        "insta _",
        "www.",
        "12-05-",
        "€1",
        "O",
        "0\u200b",
        "6 12 ",
    ],
)
def test_a_hostile_text_takes_time_in_proportion_to_its_length(hostile: str) -> None:
    def seconds(length: int) -> float:
        text = (hostile * length)[:length] + " @ insta www.x 06 een twee drie"
        start = thread_time()
        mask_contacts(text)
        return thread_time() - start

    seconds(100)  # loads the numbering plans
    assert min(seconds(24_000), seconds(24_000)) < 24 * max(seconds(3_000), 0.002), "eight times the length; a square would be 64"
