"""The whole circle in one go: reviewers label in a real browser, an adjudicator decides, the export trains a model, and what that
model says orders what is read next. Every step is a command, in a process of its own, but for what people do on the pages."""

import json
from contextlib import closing
from pathlib import Path

from mlflow import MlflowClient
from playwright.sync_api import Browser, expect

from labeling.queue import uncertainty
from labeling.store.database import Database
from labeling.store.tables import Ad, Assignment
from models.bundle import open_bundle
from tests.conftest import SmallRun
from tests.e2e.conftest import Complaints
from tests.e2e.desk import Desk, found
from tests.e2e.labelling import STRAWBERRIES, Reviewer, sign_in_by_keyboard
from tests.labeling.conftest import PASSWORD, set_project
from tests.labeling.web.conftest import Site

PAPERS, SECRET = "We keep your passport at the office", "Tell no one that you are coming"


def test_from_the_first_label_to_a_new_order_of_the_queue(
    browser: Browser, complaints: Complaints, small_run: SmallRun, tmp_path: Path
) -> None:
    desk = Desk(tmp_path)
    corpus = [json.loads(line) for line in small_run.data.read_text().splitlines()]

    desk.environment["SIGNAAL_LABEL_ADMIN_PASSWORD"] = PASSWORD
    desk.do("signaal-label first-steps --no-sample")
    for name, role in (("ana", "annotator"), ("bea", "annotator"), ("judy", "adjudicator")):
        desk.do(f"signaal-label account add {name} --role {role} --password-stdin", typed=f"{PASSWORD}\n")
    ads = [("strawberries", STRAWBERRIES), *((f"unread-{n}", one["text"]) for n, one in enumerate(corpus[:40]))]
    (tmp_path / "ads.jsonl").write_text("".join(json.dumps({"id": name, "text": said}) + "\n" for name, said in ads))
    assert "41" in desk.do("signaal-label import ads.jsonl")
    with closing(Database(f"sqlite:///{tmp_path}/data/labeling.db")) as database:
        set_project(database, mixing={"uncertainty": 1.0})
        with database.write() as session:
            for ad in session.query(Ad):
                ad.rank = ad.number
    with desk.running("signaal-label web --port 0") as said:
        site = Site(found(r"(http://\S+)", said), database, {})
        for name, words in (("ana", {PAPERS: "0", SECRET: "q"}), ("bea", {PAPERS: "0"})):
            reviewer = _signed_in(browser, complaints, site, name)
            reviewer.shown(STRAWBERRIES)
            reviewer.press("r")
            for clause, key in words.items():
                reviewer.select(clause)
                reviewer.press(key)
            reviewer.press("t", "ArrowDown", "Escape", "Enter")
            expect(reviewer.page.locator("#words")).not_to_have_text(STRAWBERRIES, use_inner_text=False)
            reviewer.page.context.close()
        judy = _signed_in(browser, complaints, site, "judy", "/adjudication")
        judy.page.get_by_role("link", name="Ad 1").click()
        judy.page.get_by_role("button", name="Show the text").click()
        judy.page.get_by_role("button", name="Begin from A").press("Enter")
        expect(judy.page.locator("#words mark")).to_have_count(2)
        judy.press("Enter")
        expect(judy.page.get_by_role("status").filter(has_text="The decision is stored.")).to_be_visible()
        judy.page.context.close()
    assert complaints.found == []

    desk.do("signaal-label export exports")
    (export,) = (tmp_path / "exports").iterdir()
    (example,) = (json.loads(line) for line in (export / "examples.jsonl").read_text().splitlines())
    assert [example["text"][span["start"] : span["end"]] for span in example["spans"]] == [PAPERS, SECRET]
    assert example["shares"] == {"dependency_isolation": 0.75}, "of two one saw it, and so did the adjudicator"

    before = _scored_and_queued(desk, small_run.result.bundle.folder)
    sources = [{"path": str(small_run.data)}, {"path": str(export / "examples.jsonl"), "share": 4}]
    (tmp_path / "signaal.yaml").write_text(json.dumps({"data": sources, "layers": 2, "max_steps": 40, "version": "next"}))
    out = desk.do("signaal-train run signaal.yaml")
    bundle = Path(tmp_path, found(r"bundle: (\S+)", out))
    trained_on = json.loads((bundle / "training.json").read_text())["data"]
    assert trained_on[1]["sha256"].startswith(export.name), "the export's id leads from the model back to its labels"
    logged = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").get_run(open_bundle(bundle).manifest.run_id).inputs.dataset_inputs
    assert any(one.dataset.digest.startswith(export.name) for one in logged), "and so it does from the run"

    after = _scored_and_queued(desk, bundle)
    assert set(before) == set(after)
    assert before != after


def _signed_in(browser: Browser, complaints: Complaints, site: Site, name: str, page: str = "") -> Reviewer:
    opened = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce").new_page()
    complaints.listen(opened)
    sign_in_by_keyboard(opened, site.address, name)
    if page:
        opened.goto(site.address + page)
    return Reviewer(opened, site)


def _scored_and_queued(desk: Desk, bundle: Path) -> list[str]:
    """Ids of the ads that nobody has read, as the queue has them once this model has read them: the least sure first."""
    desk.environment["SIGNAAL_BUNDLE"], digest = str(bundle), open_bundle(bundle).digest
    desk.do("signaal-label score")
    desk.do("signaal-label queue --seed 1")
    with closing(Database(f"sqlite:///{desk.folder}/data/labeling.db")) as database, database.read() as session:
        read = session.query(Assignment.ad_number)
        ads = session.query(Ad).filter(Ad.number.not_in(read)).order_by(Ad.rank).all()
        doubts = []
        for ad in ads:
            assert ad.suggestion
            assert ad.suggestion.bundle_digest == digest
            doubts.append(uncertainty({label: said["probability"] for label, said in ad.suggestion.labels.items()}))
    assert doubts == sorted(doubts, reverse=True)
    return [ad.id for ad in ads]
