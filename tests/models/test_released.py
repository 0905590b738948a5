"""What the model that ships must show. The texts are in no corpus file."""

import pytest

from models.runtime import Scorer
from models.scores import Status

KEPT = {
    "en": (
        "Seasonal pickers wanted for the raspberry harvest, start next week. The bus and agency costs, 1,100 pounds, are taken "
        "out of your wages until they are paid back. Your passport is kept in the farm office until you go home.",
        "taken out of your wages",
        "passport is kept in the farm office",
    ),
    "nl": (
        "Medewerkers gezocht voor de champignonkwekerij, direct beginnen. De reis en bemiddeling kosten 950 euro, dat houden we "
        "elke maand in op je loon tot alles is terugbetaald. Je paspoort bewaren wij op kantoor.",
        "houden we elke maand in op je loon",
        "paspoort bewaren wij op kantoor",
    ),
    "ro": (
        "Căutăm muncitori pentru cules de ciuperci în Olanda, plecare săptămâna viitoare. Transportul și comisionul, 900 de "
        "euro, se rețin din salariu până se achită datoria. Pașaportul rămâne la noi la birou până la sfârșitul sezonului.",
        "rețin din salariu",
        "Pașaportul rămâne la noi la birou",
    ),
}
OWN = {
    "en": ("Your passport is kept in the farm office until you go home", "You keep your passport"),
    "nl": ("Je paspoort bewaren wij op kantoor", "Je paspoort houd je zelf"),
    "ro": ("Pașaportul rămâne la noi la birou până la sfârșitul sezonului", "Pașaportul îl păstrezi tu"),
}
WARNINGS = {
    "en": "Police warn job seekers: traffickers promise work abroad, take your passport 'for safe keeping', charge you "
    "for the journey and tell you that you cannot leave until the debt is paid. If this sounds familiar, call the helpline.",
    "nl": "De politie waarschuwt: wordt je paspoort afgepakt, moet je schulden afbetalen met werk of mag je niet naar buiten? "
    "Dat kan mensenhandel zijn. Bel 0800-0000 of praat met een hulpverlener.",
    "ro": "Poliția avertizează: dacă cineva îți ia pașaportul, îți cere bani pentru drum și te amenință că nu poți pleca până nu "
    "plătești datoria, poate fi trafic de persoane. Sună la linia de ajutor.",
}


@pytest.mark.parametrize("language", KEPT)
def test_a_kept_passport_and_a_debt_are_found_with_their_words(released_scorer: Scorer, language: str) -> None:
    text, debt_words, passport_words = KEPT[language]
    (score,) = released_scorer.score([text])
    assert score.language.code == language
    assert score.language.evaluated
    assert score.document_type == "recruitment_post"
    for label, words in (("debt_or_fees", debt_words), ("document_or_earnings_control", passport_words)):
        found = score.indicators[label]
        assert found.status is Status.PRESENT, label
        start = text.index(words)
        assert any(span.start < start + len(words) and span.end > start for span in found.evidence), label


@pytest.mark.parametrize("language", KEPT)
def test_whoever_keeps_the_own_passport_has_no_document_control(released_scorer: Scorer, language: str) -> None:
    text = KEPT[language][0].replace(*OWN[language])
    before, after = (
        score.indicators["document_or_earnings_control"] for score in released_scorer.score([KEPT[language][0], text])
    )
    assert after.status is not Status.PRESENT
    assert after.probability < before.probability


@pytest.mark.parametrize("language", WARNINGS)
def test_a_police_warning_that_quotes_the_signs_has_no_indicator(released_scorer: Scorer, language: str) -> None:
    (score,) = released_scorer.score([WARNINGS[language]])
    assert score.document_type == "prevention_or_news"
    assert [label for label, found in score.indicators.items() if found.status is Status.PRESENT] == []


def test_an_ordinary_job_has_no_indicator(released_scorer: Scorer) -> None:
    text = "Barista wanted at Café De Molen, Utrecht. 24 hours a week, 14.80 euro an hour, contract from day one."
    (score,) = released_scorer.score([text])
    assert [label for label, found in score.indicators.items() if found.status is Status.PRESENT] == []
