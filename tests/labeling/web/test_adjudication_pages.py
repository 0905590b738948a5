from typing import Any

from labeling.store.tables import Ad
from models.taxonomy import packaged_taxonomy
from tests.labeling.conftest import add_ads, set_project
from tests.labeling.web.conftest import Site

SEEN: dict[str, Any] = {
    "labels": {"debt_or_fees": True},
    "spans": [{"start": 0, "end": 7, "label": "debt_or_fees"}],
    "document_type": "recruitment_post",
}
NOT_SEEN: dict[str, Any] = {"labels": {}, "document_type": "recruitment_post"}


def disagree(site: Site) -> int:
    """Number of an ad on which ana and bea are done and do not agree."""
    add_ads(site.database, 1)
    for name, said in (("ana", SEEN), ("bea", NOT_SEEN)):
        visitor = site.visitor(name)
        assert visitor.save(visitor.get("/api/next").json()["assignment"], 0, **said, comment=f"by {name}", done=True).is_success
    with site.database.read() as session:
        return session.query(Ad).one().number


def test_a_case_is_listed_without_its_text_and_shown_without_names(site: Site) -> None:
    number = disagree(site)
    judy = site.visitor("judy")
    listed = judy.get("/adjudication").text
    assert f"/adjudication/{number}" in listed
    assert "Debt or fees" in listed
    assert "Pickers" not in listed
    shown = judy.get(f"/adjudication/{number}").text
    assert shown.count("Reviewer A") >= 2
    assert shown.count("Reviewer B") >= 2
    assert '<mark data-kind="indicator" data-keys="9">Pickers</mark>' in shown
    assert site.ids["ana"] not in shown


def test_a_decision_ends_the_case_and_a_later_one_replaces_it(site: Site) -> None:
    number = disagree(site)
    judy = site.visitor("judy")
    assert judy.act("PUT", f"/api/adjudication/{number}", json={"version": 0, **SEEN}).json() == {"version": 1}
    assert "disagree: 0" in judy.get("/adjudication").text
    assert judy.get("/adjudication/next").headers["location"] == "/adjudication?note=resolved"
    stale = judy.act("PUT", f"/api/adjudication/{number}", json={"version": 0, **NOT_SEEN})
    assert stale.status_code == 409
    assert stale.json()["stored"]["annotation"]["spans"] == SEEN["spans"]
    assert judy.act("PUT", f"/api/adjudication/{number}", json={"version": 1, **NOT_SEEN}).json() == {"version": 2}
    assert "Decided already" in judy.get(f"/adjudication/{number}").text


def test_a_case_that_does_not_exist_is_not_found(site: Site) -> None:
    judy = site.visitor("judy")
    for number in (99, 0, -1, 2**31, 10**20, "one"):
        assert (number, judy.get(f"/adjudication/{number}").status_code) == (number, 404)
        assert (number, judy.act("PUT", f"/api/adjudication/{number}", json={"version": 0, **SEEN}).status_code) == (number, 404)
    for after in (-1, 10**20, "one"):
        for address in ("/adjudication", "/adjudication/next"):
            assert (after, judy.get(f"{address}?after={after}").status_code) == (after, 404)


def test_the_days_limit_and_the_pause_are_for_adjudicators_too(site: Site) -> None:
    number = disagree(site)
    judy = site.visitor("judy")
    assert '"pause": false' in judy.get(f"/adjudication/{number}").text
    set_project(site.database, daily_limit=1, pause_after=1)
    assert '"pause": true' in judy.get(f"/adjudication/{number}").text, "what was seen today may be seen again"
    add_ads(site.database, 1, prefix="more")
    with site.database.write() as session:
        other = session.query(Ad).filter(Ad.id == "more-0").one()
        other.state = "disputed"
        other_number = other.number
    refused = judy.get(f"/adjudication/{other_number}")
    assert (refused.status_code, "That is enough for today." in refused.text) == (403, True)


def test_who_has_compared_an_ad_cannot_open_their_own_opinion_again(site: Site) -> None:
    add_ads(site.database, 1)
    judy, bea = site.visitor("judy"), site.visitor("bea")
    own = judy.get("/api/next").json()["assignment"]
    assert judy.save(own, 0, **SEEN, done=True).is_success
    assert bea.save(bea.get("/api/next").json()["assignment"], 0, **NOT_SEEN, done=True).is_success
    assert judy.get("/adjudication/1").is_success
    refused = judy.act("POST", f"/api/assignments/{own}/reopen")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:signaal:problem:closed")
    assert "seen what others say" in refused.json()["title"]


def test_a_label_that_nobody_judged_is_asked_of_the_adjudicator(site: Site) -> None:
    add_ads(site.database, 1)
    for name in ("ana", "bea"):
        visitor = site.visitor(name)
        visitor.act("POST", "/my-work/opt-outs", data={"label": "minor_age_cue"})
        assert visitor.save(visitor.get("/api/next").json()["assignment"], 0, **SEEN, done=True).is_success
    judy = site.visitor("judy")
    name = next(label.name for label in packaged_taxonomy().indicators if label.id == "minor_age_cue")
    assert f"<td>{name}</td>" in judy.get("/adjudication").text
    assert judy.get("/adjudication/1").text.count('class="is-not_judged"') == 2
