from datetime import timedelta
from typing import Any

import pytest

from labeling.store.tables import AnnotationVersion, Assignment
from labeling.web.access import utc_now
from labeling.web.pages.review import direction_of
from labeling.work.assignment import next_assignment
from tests.labeling.conftest import TEXT, add_ads, set_project
from tests.labeling.web.conftest import Site, Visitor, suggest
from tests.labeling.web.test_access import filled, routes

SAID: dict[str, Any] = {
    "labels": {"debt_or_fees": True, "states_limits": False},
    "spans": [{"start": 0, "end": 7, "label": "debt_or_fees"}],
    "document_type": "recruitment_post",
}


def take(visitor: Visitor) -> dict[str, Any]:
    answer = visitor.get("/api/next")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def test_an_ad_is_given_saved_finished_and_taken_up_again(site: Site) -> None:
    add_ads(site.database, 2)
    ana = site.visitor("ana")
    first = take(ana)
    assert first["version"] == 0
    assert first["ad"]["text"] in {TEXT.format(0), TEXT.format(1)}
    assert (first["ad"]["direction"], first["annotation"], first["pause"]) == ("ltr", None, False)
    assert ana.save(first["assignment"], 0, **SAID).json() == {"version": 1, "done": False}
    again = take(ana)
    assert again["assignment"] == first["assignment"]
    assert again["annotation"]["spans"] == SAID["spans"]
    assert ana.save(first["assignment"], 1, **SAID, done=True, seconds=3.5).json() == {"version": 2, "done": True}
    assert take(ana)["assignment"] != first["assignment"]
    assert ana.get("/api/last-done").json() == {"assignment": first["assignment"]}
    reopened = ana.act("POST", f"/api/assignments/{first['assignment']}/reopen").json()
    assert reopened["version"] == 2
    assert reopened["annotation"]["labels"]["debt_or_fees"] is True
    assert reopened["annotation"]["labels"]["third_party_control"] is False  # done: what was not called present is absent
    assert reopened["annotation"]["seconds"] == 3.5


def test_nothing_left_is_an_empty_answer(site: Site) -> None:
    ana = site.visitor("ana")
    assert ana.get("/api/next").status_code == 204
    assert ana.get("/api/last-done").status_code == 204


def test_a_save_on_an_old_version_is_refused_with_what_is_stored(site: Site) -> None:
    add_ads(site.database, 1)
    ana = site.visitor("ana")
    assignment = take(ana)["assignment"]
    ana.save(assignment, 0, **SAID)
    refused = ana.save(assignment, 0, labels={"absent_limits": True})
    assert refused.status_code == 409
    problem = refused.json()
    assert problem["type"] == "urn:signaal:problem:stale"
    assert problem["stored"]["version"] == 1
    assert problem["stored"]["annotation"]["spans"] == SAID["spans"]
    assert take(ana)["annotation"]["labels"] == SAID["labels"]


@pytest.mark.parametrize("done", [False, True])
def test_a_save_that_is_sent_again_because_its_answer_got_lost_is_no_conflict(site: Site, done: bool) -> None:
    add_ads(site.database, 1)
    ana = site.visitor("ana")
    ana.act("POST", "/my-work/opt-outs", data={"label": "absent_limits"})
    assignment = take(ana)["assignment"]
    sent = {**SAID, "comment": "as on +31 6 1234 5678", "done": done}  # a number is masked before it is stored
    stored = {"version": 1, "done": done}
    assert ana.save(assignment, 0, **sent, seconds=1).json() == stored
    assert ana.save(assignment, 0, **sent, seconds=4).json() == stored
    assert ana.save(assignment, 0, **{**sent, "done": not done}).json() == stored  # the script sees that it is not what it asked
    with site.database.read() as session:
        assert [one.version for one in session.query(AnnotationVersion)] == [1]
    other = ana.save(assignment, 0, **{**sent, "comment": ""})
    assert (other.status_code, other.json()["stored"]["version"], other.json()["stored"]["done"]) == (409, 1, done)


def test_anothers_opinion_is_out_of_reach_by_any_address(site: Site) -> None:
    add_ads(site.database, 1)
    ana, bea = site.visitor("ana"), site.visitor("bea")
    own = take(ana)["assignment"]
    assert filled("{own}") == str(own), "the walk below asks for ana's assignment, and for the ad, by their number"
    ana.save(own, 0, **SAID, comment="only for the adjudicator", done=True)
    assert take(bea)["annotation"] is None
    others = {"bea": bea, "judy": site.visitor("judy"), "root": site.visitor("root")}
    readable = sorted(path for method, path in routes(site.database) if method == "GET")

    def where_anas_comment_is() -> dict[str, list[str]]:
        answers = {name: {path: one.get(filled(path)).text for path in readable} for name, one in others.items()}
        return {name: [path for path in readable if "only for the adjudicator" in said[path]] for name, said in answers.items()}

    # Adjudicators and admins cannot look either while an opinion is missing: it would no longer be blind.
    assert where_anas_comment_is() == {"bea": [], "judy": [], "root": []}
    assert others["judy"].get("/adjudication/1").status_code == 409
    for method, address in (
        ("PUT", f"/api/assignments/{own}/annotation"),
        ("POST", f"/api/assignments/{own}/skip"),
        ("POST", f"/api/assignments/{own}/reopen"),
    ):
        answer = bea.act(method, address, json={"version": 0} if method == "PUT" else None)
        assert (address, answer.status_code) == (address, 403)
        assert "adjudicator" not in answer.text
        assert answer.json()["type"] == "urn:signaal:problem:not-allowed"
    bea.save(take(bea)["assignment"], 0, document_type="other", done=True)
    case = "/adjudication/{number}"
    assert where_anas_comment_is() == {"bea": [], "judy": [case], "root": [case]}, "now it is theirs to decide, there alone"


@pytest.mark.parametrize("number", ["4711", "0", "-1", "2147483648", "9" * 30, "one"])
def test_an_assignment_that_cannot_be_is_not_found(site: Site, number: str) -> None:
    ana = site.visitor("ana")
    for method, act in (("PUT", "annotation"), ("POST", "skip"), ("POST", "reopen")):
        answer = ana.act(method, f"/api/assignments/{number}/{act}", json={"version": 0} if method == "PUT" else None)
        assert (act, answer.status_code, answer.json()["type"]) == (act, 404, "urn:signaal:problem:not-found")


def test_a_skipped_ad_is_not_given_again_and_no_reason_is_asked(site: Site) -> None:
    add_ads(site.database, 1)
    ana = site.visitor("ana")
    assignment = take(ana)["assignment"]
    assert ana.act("POST", f"/api/assignments/{assignment}/skip").status_code == 204
    assert ana.get("/api/next").status_code == 204
    assert ana.save(assignment, 0, **SAID).json()["type"] == "urn:signaal:problem:closed"


def test_the_days_limit_is_told_as_such(site: Site) -> None:
    add_ads(site.database, 3)
    set_project(site.database, daily_limit=1, pause_after=1)
    ana = site.visitor("ana")
    shown = take(ana)
    assert (shown["remaining_today"], shown["pause"]) == (0, True)
    ana.save(shown["assignment"], 0, **SAID, done=True)
    refused = ana.get("/api/next")
    assert refused.status_code == 403
    assert refused.json()["type"] == "urn:signaal:problem:daily-limit"


@pytest.mark.parametrize("blind", [True, False])
def test_suggestions_are_shown_only_where_the_project_says_so(site: Site, blind: bool) -> None:
    add_ads(site.database, 1)
    set_project(site.database, blind=blind)
    said = {"probability": 0.9, "status": "present", "spans": [{"start": 0, "end": 7}]}
    suggest(site.database, "ad-0", {"debt_or_fees": said, "absent_limits": said})
    ana = site.visitor("ana")
    ana.act("POST", "/my-work/opt-outs", data={"label": "absent_limits"})
    shown = take(ana)
    assert shown["suggestions"] == (None if blind else [{"label": "debt_or_fees", **said}])
    assert shown["suggested_type"] == (None if blind else {"document_type": "other", "probability": 0.5})
    set_project(site.database, blind=True)
    assert take(ana)["suggestions"] is None
    with site.database.read() as session:
        noted = session.get_one(Assignment, shown["assignment"]).suggested_by
    assert noted == (None if blind else "0" * 64), "what was seen stays noted"
    assert 'data-label="absent_limits"' not in ana.get("/review").text


@pytest.mark.parametrize(
    ("said", "where"),
    [
        (
            {"spans": [{"start": 5, "end": 900, "label": "debt_or_fees"}], "labels": {"debt_or_fees": True}},
            "does not fit the text",
        ),
        ({"labels": {"no_such_label": True}}, "not a label of the taxonomy"),
        ({"labels": "a secret"}, "labels"),
        ({"unheard_of": "a secret"}, "unheard_of"),
    ],
)
def test_what_does_not_fit_is_named_and_never_repeated(site: Site, said: dict[str, Any], where: str) -> None:
    add_ads(site.database, 1)
    ana = site.visitor("ana")
    refused = ana.save(take(ana)["assignment"], 0, **said)
    assert refused.status_code == 422
    assert where in refused.json()["detail"]
    assert "secret" not in refused.text


def test_an_ad_whose_time_ran_out_and_that_another_has_now_says_so(site: Site) -> None:
    add_ads(site.database, 1)
    set_project(site.database, overlap=1)
    ana = site.visitor("ana")
    assignment = take(ana)["assignment"]
    with site.database.write() as session:
        session.get_one(Assignment, assignment).leased_until = utc_now() - timedelta(hours=1)
    with site.database.write() as session:
        assert next_assignment(session, site.ids["bea"], utc_now())
    refused = ana.save(assignment, 0, **SAID)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:signaal:problem:closed")


def test_the_direction_is_that_of_the_first_letter_that_has_one() -> None:
    assert [direction_of(text) for text in ("abc", "12 🙂 مرحبا abc", "?שלום", "Търсим", "123", "")] == [
        "ltr", "rtl", "rtl", "ltr", "ltr", "ltr",
    ]  # fmt: skip
