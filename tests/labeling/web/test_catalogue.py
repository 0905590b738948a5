import json
import re
from pathlib import Path

import pytest

import labeling.web
from labeling.project import ProjectSettings
from labeling.web.catalogue import LANGUAGES, chosen_language, phrases, say, taxonomy_in
from labeling.web.pages.project import STRATEGIES
from labeling.web.pages.review import REASONS
from labeling.web.problems import OF_ERROR, OF_STATUS
from labeling.web.review_keys import SHORTCUTS, key_of, labels_for
from models.taxonomy import packaged_taxonomy

WEB = Path(labeling.web.__file__).parent
FILLED = re.compile(r"\{\w+\}")
ANY = re.compile(
    r"""["'`]((?:base|page|review|adjudication|dashboard|my_work|accounts|project|guide|sign_in|keys)\.[a-z_0-9]+)["'`]"""
)


def sources() -> str:
    files = [*WEB.rglob("*.py"), *WEB.rglob("*.html"), *WEB.rglob("*.js")]
    return "\n".join(file.read_text() for file in files)


def test_every_language_has_the_same_phrases_with_the_same_gaps() -> None:
    english = phrases("en")
    for language in LANGUAGES:
        other = phrases(language)
        assert other.keys() == english.keys()
        assert {key: set(FILLED.findall(other[key])) for key in other} == {
            key: set(FILLED.findall(english[key])) for key in english
        }
        assert all(phrase.strip() for phrase in other.values())


def test_no_phrase_is_written_twice_in_a_file() -> None:
    for language in LANGUAGES:
        pairs = json.loads((WEB / "i18n" / f"{language}.json").read_text(), object_pairs_hook=list)
        keys = [key for key, _ in pairs]
        assert len(keys) == len(set(keys))


def test_every_phrase_that_is_used_exists_and_every_one_that_exists_is_used() -> None:
    text = sources()
    used = {key for key in ANY.findall(text) if not key.endswith((".html", "_"))}
    used |= {f"problem.{slug.replace('-', '_')}" for _, slug in OF_ERROR.values()} | {"problem.home"}
    used |= {f"problem.{slug.replace('-', '_')}" for slug in OF_STATUS.values()}
    used |= {f"reason.{reason}" for reason in REASONS} | {f"keys.{what}" for _, what in SHORTCUTS}
    used |= {f"strategy.{one}" for one in STRATEGIES} | {f"role.{role}" for role in ("annotator", "adjudicator", "admin")}
    used |= {f"project.{name}{end}" for name in ProjectSettings.model_fields for end in ("", "_help")}
    used |= {f"project_problem.{kind}" for kind in ("whole", "share", "text", "timezone", "mixing")}
    used |= {f"problem.{slug.replace('-', '_')}" for slug in re.findall(r'bare_answer\(.*?, "([a-z-]+)"\)', text)}
    used |= {f"note.{note}" for note in re.findall(r'(?:back_to\("[^"]+", "|note=)(\w+)', text)}
    used |= {f"review.state_{state}" for state in re.findall(r"review\.state_(\w+)", " ".join(phrases("en")))}
    used |= {f"dashboard.{state}" for state in ("open", "agreed", "disputed", "resolved")}
    used |= {f"adjudication.{said}" for said in ("present", "absent", "not_judged")}
    used |= {"review.model_present", "review.model_uncertain", *(f"my_work.password_{one}" for one in ("old", "new", "again"))}
    used |= {key for key in phrases("en") if key.startswith("guide.step_")}
    room = "\n".join(file.read_text() for file in WEB.parent.rglob("*.py"))
    used |= {f"account_problem.{phrase}" for phrase in re.findall(r'AccountError\(.*?, "(\w+)"', room)}
    assert used - phrases("en").keys() == set()
    assert phrases("en").keys() - used == set()


def test_the_words_of_the_taxonomy_are_there_in_every_language() -> None:
    packaged = packaged_taxonomy()
    for language in LANGUAGES:
        spoken = taxonomy_in(language)
        assert spoken.label_ids == packaged.label_ids
        assert spoken.document_type_ids == packaged.document_type_ids
        for one, own in zip(
            spoken.indicators + spoken.counter_indicators, packaged.indicators + packaged.counter_indicators, strict=True
        ):
            assert (len(one.cues), len(one.hard_negatives)) == (len(own.cues), len(own.hard_negatives))
            if language != "en":
                assert one.name != own.name
                assert one.definition != own.definition


def test_a_label_keeps_its_key_whatever_is_left_out_and_no_key_is_there_twice() -> None:
    everything = {label.id: label.key for label in labels_for("en")}
    assert len(set(everything.values())) == len(everything)
    assert all(everything.values())
    assert {label: key_of(label) for label in everything} == everything
    fewer = labels_for("nl", ["third_party_control", "states_limits"])
    assert {label.id: label.key for label in fewer} == {
        label: key for label, key in everything.items() if label not in ("third_party_control", "states_limits")
    }


@pytest.mark.parametrize(
    ("accepted", "chosen"), [("nl", "nl"), ("NL-nl,en", "nl"), ("de,en;q=0.1", "en"), ("", "en"), ("*", "en")]
)
def test_the_language_of_a_browser(accepted: str, chosen: str) -> None:
    assert chosen_language(accepted) == chosen


def test_a_phrase_that_does_not_exist_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        say("en", "no.such")
