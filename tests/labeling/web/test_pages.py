"""The pages that are forms: own work, accounts, project settings, help."""

import re

from labeling.store.tables import Account
from labeling.work.rules import load_project
from tests.labeling.conftest import PASSWORD, add_ads, set_project
from tests.labeling.web.conftest import Site


def account(site: Site, name: str) -> Account:
    with site.database.read() as session:
        return session.get_one(Account, site.ids[name])


def test_own_work_shows_what_was_done_and_what_is_left(site: Site) -> None:
    add_ads(site.database, 3)
    set_project(site.database, daily_limit=20, support_text="Mira, room 4 <b>bold</b>")
    ana = site.visitor("ana")
    first = ana.get("/api/next").json()
    ana.save(first["assignment"], 0, document_type="other", done=True)
    ana.get("/api/next")
    shown = ana.get("/my-work").text
    tiles = [int(number) for number in re.findall(r"<strong>(\d+)</strong>", shown)]
    assert tiles == [1, 1, 0, 2]
    assert "18 more at most" in shown
    assert "Mira, room 4 &lt;b&gt;bold&lt;/b&gt;" in shown


def test_a_reviewer_chooses_labels_limit_and_language_for_themselves_alone(site: Site) -> None:
    ana = site.visitor("ana")
    assert ana.act("POST", "/my-work/opt-outs", data={"label": ["absent_limits", "minor_age_cue"]}).status_code == 303
    assert ana.act("POST", "/my-work/limit", data={"limit": "12"}).status_code == 303
    assert ana.act("POST", "/my-work/language", data={"language": "nl"}).status_code == 303
    own = account(site, "ana")
    assert (set(own.opt_outs), own.daily_limit, own.language) == ({"absent_limits", "minor_age_cue"}, 12, "nl")
    assert account(site, "bea").opt_outs == []
    assert "Mijn werk" in ana.get("/my-work").text
    assert "Controle door een derde" in ana.get("/review").text
    assert "Dit mag je niet zien of doen." in ana.get("/project").text
    ana.act("POST", "/my-work/language", data={"language": "../en"})
    assert account(site, "ana").language == "nl"
    assert ana.act("POST", "/my-work/opt-outs", data={"label": "no_such"}).status_code == 422
    refused = ana.act("POST", "/my-work/limit", data={"limit": "0"})
    assert (refused.status_code, "De grens moet 1 advertentie" in refused.text) == (422, True)
    short = ana.act("POST", "/my-work/password", data={"old": PASSWORD, "new": "kort", "again": "kort"})
    assert "Een wachtwoord heeft 12 tot 200 tekens" in short.text


def test_a_new_password_needs_the_old_one_and_ends_every_session(site: Site) -> None:
    ana, elsewhere = site.visitor("ana"), site.visitor("ana")
    new = "another long password"
    for old, again in (("wrong", new), (PASSWORD, "something else")):
        assert ana.act("POST", "/my-work/password", data={"old": old, "new": new, "again": again}).status_code == 422
    assert ana.act("POST", "/my-work/password", data={"old": PASSWORD, "new": "short", "again": "short"}).status_code == 422
    assert ana.act("POST", "/my-work/password", data={"old": PASSWORD, "new": new, "again": new}).status_code == 303
    assert elsewhere.get("/api/session").status_code == 401
    assert site.visitor().sign_in("ana").status_code == 403
    assert site.visitor().sign_in("ana", new).status_code == 303


def test_an_admin_makes_changes_and_closes_accounts(site: Site) -> None:
    root, bea = site.visitor("root"), site.visitor("bea")
    made = {"name": "cleo", "password": "a long enough one", "role": "adjudicator"}
    assert root.act("POST", "/accounts", data=made).status_code == 303
    assert site.visitor().sign_in("cleo", made["password"]).status_code == 303
    assert "There is an account cleo already." in root.act("POST", "/accounts", data=made).text
    assert root.act("POST", "/accounts", data={**made, "name": "dora", "role": "emperor"}).status_code == 422
    root.act("POST", f"/accounts/{site.ids['bea']}/role", data={"role": "adjudicator"})
    assert bea.get("/api/session").status_code == 401  # a session keeps no role that is gone
    root.act("POST", f"/accounts/{site.ids['bea']}/active", data={"active": "no"})
    assert site.visitor().sign_in("bea").status_code == 403
    only = root.act("POST", f"/accounts/{site.ids['root']}/active", data={"active": "no"})
    assert (only.status_code, "only admin" in only.text) == (422, True)
    assert root.act("POST", "/accounts/nobody/active", data={"active": "no"}).status_code == 404
    root.act("POST", "/my-work/language", data={"language": "nl"})
    assert "Er is al een account cleo." in root.act("POST", "/accounts", data=made).text


def test_the_project_is_changed_as_a_whole_or_not_at_all(site: Site) -> None:
    root = site.visitor("root")
    shown = root.get("/project").text
    names = set(re.findall(r' name="(\w+)"', shown)) - {"csrf"}
    with site.database.read() as session:
        before = load_project(session).model_dump()
    fields = {**before, **{f"mixing_{name}": share for name, share in before["mixing"].items()}, "retention_days": ""}
    del fields["mixing"]
    assert set(fields) <= names
    wanted = {**fields, "blind": "", "blur": "yes", "overlap": "3", "support_text": "Mira"}
    assert root.act("POST", "/project", data=wanted).status_code == 303
    with site.database.read() as session:
        after = load_project(session)
    assert (after.blind, after.blur, after.overlap, after.support_text) == (False, True, 3, "Mira")
    assert after.mixing == before["mixing"]
    refused = root.act("POST", "/project", data={**wanted, "overlap": "99", "support_text": "Zed", "timezone": "Mars/Base"})
    assert refused.status_code == 422
    assert "Reviewers for each ad: must be a whole number from 1 to 10." in refused.text
    assert "Time zone: must be a time zone" in refused.text
    root.act("POST", "/my-work/language", data={"language": "nl"})
    wrong = {name: "x" * 5000 for name in fields if name not in ("blind", "blur")}
    refused = root.act("POST", "/project", data=wrong)
    said = re.findall(r'role="alert">(.*?)</p>', refused.text)
    assert len(said) == len(wrong) - len(before["mixing"])  # the shares have one sentence; the text was cut to what fits
    assert "Aandeel bekende advertenties: moet een getal van 0 tot en met 0.5 zijn." in said
    assert not re.search("should|must|valid|Input", " ".join(said))
    with site.database.read() as session:
        assert load_project(session) == after


def test_help_has_every_key_and_every_definition(site: Site) -> None:
    shown = site.visitor("ana").get("/help").text
    assert shown.count("<details>") == 17
    assert "Identity papers, phone, bank account or wages are held by another" in shown
    assert "Back to the ad that was done last" in shown


def test_an_address_without_a_page_is_told_plainly(site: Site) -> None:
    answer = site.visitor("ana").get("/no/such%3Cscript%3E")
    assert answer.status_code == 404
    assert "There is nothing here." in answer.text
    assert "script>" not in answer.text.replace("</script>", "")
