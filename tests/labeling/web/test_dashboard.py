import re
from multiprocessing import active_children
from xml.etree import ElementTree

import pytest
from sqlalchemy import update

from labeling.accounts.roles import Role
from labeling.store.database import Database
from labeling.store.tables import StoredAnnotation
from labeling.web import plots, quality
from labeling.web.access import utc_now
from labeling.web.figures import Habit, coverage, habits_of, opinions, people, progress
from labeling.web.quality import QualityCache
from labeling.work.gold import gold_results
from tests.labeling.conftest import add_account, add_ads, set_project
from tests.labeling.web.conftest import Site
from tests.waiting import until


def read_all(site: Site, name: str, *, present_on_even: bool) -> None:
    visitor = site.visitor(name)
    while (answer := visitor.get("/api/next")).status_code == 200:
        shown = answer.json()
        there = int(shown["ad"]["id"].split("-")[1]) % 2 == 0 if present_on_even else False
        said = {"labels": {"debt_or_fees": there}, "document_type": "recruitment_post", "seconds": 4.0}
        visitor.save(shown["assignment"], 0, **said, done=True)


def test_the_figures_are_those_of_the_opinions(site: Site) -> None:
    add_ads(site.database, 6)
    read_all(site, "ana", present_on_even=True)
    read_all(site, "bea", present_on_even=False)
    with site.database.read() as session:
        stand = progress(session, utc_now())
        found = opinions(session)
        persons = {one.name: one for one in people(session, habits_of(found.annotations))}
    assert (stand.ads, stand.states["disputed"], stand.states["agreed"]) == (6, 3, 3)
    assert stand.languages == {"en": {"disputed": 3, "agreed": 3}}
    assert sum(count for _, count in stand.days) == 12
    assert (persons["ana"].done, persons["ana"].habit) == (6, Habit(undecided=0, seconds=4.0))
    assert coverage(found) == {"debt_or_fees": {"en": 3}}
    of_all, current = QualityCache(site.database).get(patience=30)
    assert current
    assert of_all
    assert of_all.labels["debt_or_fees"].ads == 6
    # 12 judgements, 3 of them present; ana and bea differ on 3 of 6 ads: alpha = 1 - 11 * 6 / (2 * 3 * 9)
    assert of_all.labels["debt_or_fees"].alpha is not None
    assert abs(of_all.labels["debt_or_fees"].alpha - (1 - 11 * 6 / (2 * 3 * 9))) < 1e-9
    shown = site.visitor("judy").get("/dashboard").text
    assert "Examples by label and language" in shown
    assert re.search(r"<strong>3</strong> ads in dispute", shown)


def test_ads_that_no_annotator_is_left_to_read_are_told_of(site: Site) -> None:
    add_ads(site.database, 1)
    judy = site.visitor("judy")
    for name in ("ana", "bea"):
        assert "no annotator is left for" not in judy.get("/dashboard").text
        visitor = site.visitor(name)
        visitor.act("POST", f"/api/assignments/{visitor.get('/api/next').json()['assignment']}/skip")
    assert "Ads to be read that no annotator is left for: 1." in judy.get("/dashboard").text


def test_figures_are_computed_anew_only_when_an_opinion_changed(site: Site) -> None:
    add_ads(site.database, 2)
    cache = QualityCache(site.database)
    first, _ = cache.get(patience=30)
    assert cache.get(patience=0)[0] is first
    read_all(site, "ana", present_on_even=True)
    until(lambda: cache.get(patience=1)[1])
    now, _ = cache.get(patience=1)
    assert now is not None
    assert now is not first


def test_many_opinions_are_counted_in_another_process_which_no_page_waits_for(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_ads(site.database, 4)
    read_all(site, "ana", present_on_even=True)
    read_all(site, "bea", present_on_even=False)
    here, _ = QualityCache(site.database).get(patience=30)
    monkeypatch.setattr(quality, "FEW", 1)
    cache = QualityCache(site.database)
    assert cache.get(patience=30) == (None, False)
    until(active_children)
    until(lambda: cache.get(patience=30)[1])
    assert cache.get(patience=30) == (here, True)
    assert not active_children()


def test_a_counting_process_that_dies_is_logged_and_the_next_visit_starts_another(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    add_ads(site.database, 2)
    read_all(site, "ana", present_on_even=True)
    monkeypatch.setattr(quality, "FEW", 1)
    cache = QualityCache(site.database)
    cache.get(patience=0)
    until(active_children)
    active_children()[0].kill()
    until(lambda: "The figures of the dashboard failed" in caplog.text)
    until(lambda: cache.get(patience=0)[1])


def test_counting_that_fails_in_a_process_is_logged_once_by_the_name_of_its_error(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    add_ads(site.database, 1)
    read_all(site, "ana", present_on_even=True)
    with site.database.write() as session:
        session.execute(update(StoredAnnotation).values(spans=[{"note": "what ana wrote"}]))
    monkeypatch.setattr(quality, "FEW", 1)
    assert QualityCache(site.database).get(patience=0) == (None, False)
    until(lambda: "The figures of the dashboard failed" in caplog.text)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "The figures of the dashboard failed with ValidationError."
    ]
    assert "ana wrote" not in caplog.text
    assert not active_children()
    assert capfd.readouterr().err == "", "the process itself says nothing"


def test_an_empty_room_has_a_dashboard_too(site: Site) -> None:
    shown = site.visitor("judy").get("/dashboard")
    assert shown.status_code == 200
    assert "Nothing yet." in shown.text


def test_every_plot_is_well_formed_and_without_style() -> None:
    for drawn in (
        plots.bars([]),
        plots.bars([("a<b", 0)]),
        plots.bars([(str(n), n * n) for n in range(30)]),
        plots.interval(-0.7, 0.1, 0.4),
        plots.line([None, 0.5, 1.0]),
        plots.line([]),
    ):
        root = ElementTree.fromstring(drawn)
        assert root.attrib["aria-hidden"] == "true"
        assert "style" not in drawn


def test_a_shade_tells_nothing_from_something_and_grows() -> None:
    shades = [plots.shade(count, 40) for count in (0, 1, 15, 25, 35, 40)]
    assert shades[0] == 0
    assert shades[1] >= 1
    assert shades == sorted(shades)
    assert shades[-1] == 4


def test_people_without_work_are_not_listed(sqlite_database: Database) -> None:
    add_account(sqlite_database, "idle", Role.ANNOTATOR)
    with sqlite_database.read() as session:
        assert people(session, {}) == []


def test_on_gold_items_who_ticks_nothing_is_not_shown_as_nearly_right(site: Site) -> None:
    set_project(site.database, gold_share=0.5)
    add_ads(site.database, 3, gold=True, prefix="gold")  # debt_or_fees in each
    add_ads(site.database, 40)
    read_all(site, "ana", present_on_even=False)
    with site.database.read() as session:
        found = gold_results(session)[site.ids["ana"]]
    assert (found.right, found.missed, found.wrong) == (0, 3, 0)
    judy = site.visitor("judy")
    until(lambda: re.search(r'0\.00 <span class="note">\(0 / 3 / 0\)', judy.get("/dashboard").text))
