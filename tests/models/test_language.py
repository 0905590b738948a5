import pytest

from models.language import detect_language


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Wij zoeken medewerkers voor de kas in het Westland.", "nl"),
        ("We are looking for pickers for the summer season.", "en"),
        ("Wir suchen Erntehelfer für die Sommersaison.", "de"),
        ("Nous cherchons des saisonniers pour les vendanges.", "fr"),
        ("Buscamos personal para la campaña de la fresa.", "es"),
        ("Căutăm personal pentru cules de căpșuni.", "ro"),
        ("Търсим работници за оранжерия.", "bg"),
    ],
)
def test_languages_are_told_apart(text: str, code: str) -> None:
    assert detect_language(text)[0] == code


@pytest.mark.parametrize("text", ["", "0612345678", "🙂🙂", "…"])
def test_nothing_to_read_is_unknown(text: str) -> None:
    assert detect_language(text) == ("und", 0.0)


def test_a_long_text_is_told_by_its_beginning() -> None:
    beginning = "Wij zoeken medewerkers voor de kas in het Westland. " * 5
    whole = beginning + "We are looking for pickers for the summer season. " * 400
    assert detect_language(whole) == detect_language(beginning)
