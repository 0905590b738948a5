from datetime import timedelta

import httpx
import pytest

from labeling.store.tables import Account, SignInSession
from labeling.web.access import FORM_COOKIE, SESSION_COOKIE, utc_now
from tests.labeling.conftest import PASSWORD
from tests.labeling.web.conftest import Site


def cookies(answer: httpx.Response) -> dict[str, str]:
    return {line.split("=")[0]: line for line in answer.headers.get_list("set-cookie")}


def test_the_cookie_is_out_of_reach_of_scripts_other_sites_and_networks(site: Site) -> None:
    visitor = site.visitor()
    near = cookies(visitor.sign_in("ana"))[SESSION_COOKIE]
    assert "HttpOnly" in near
    assert "SameSite=strict" in near
    assert "Path=/" in near
    far = visitor.get("/sign-in", headers={"Host": "label.example"})
    assert "Secure" in cookies(far)[FORM_COOKIE]
    assert "Secure" not in near  # a loopback address: there is no network, and no certificate


def test_a_password_is_not_taken_over_a_network_without_https(site: Site) -> None:
    visitor = site.visitor()
    form = {"csrf": visitor.form_token("/sign-in"), "name": "ana", "password": PASSWORD}
    cookie = {"Cookie": f"{FORM_COOKIE}={visitor.cookies[FORM_COOKIE]}"}
    refused = visitor.post("/sign-in", data=form, headers={"Host": "label.example", **cookie})
    assert refused.status_code == 403
    assert "HTTPS" in refused.text
    taken = visitor.post("/sign-in", data=form, headers={"Host": "label.example", "X-Forwarded-Proto": "https", **cookie})
    assert taken.status_code == 303
    assert "Secure" in cookies(taken)[SESSION_COOKIE]


@pytest.mark.parametrize(
    "said",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-Proto": "http"},
        {"Forwarded": "for=192.0.2.1"},
        {"X-Forwarded-For": "192.0.2.1"},
        {"Origin": "http://label.example"},  # all that a bare proxy_pass of nginx on this machine leaves of the way
    ],
)
def test_a_proxy_that_asks_for_the_loopback_address_makes_no_network_safe(site: Site, said: dict[str, str]) -> None:
    visitor = site.visitor()
    form = {"csrf": visitor.form_token("/sign-in"), "name": "ana", "password": PASSWORD}
    refused = visitor.post("/sign-in", data=form, headers=said)
    assert (refused.status_code, "HTTPS" in refused.text) == (403, True)
    assert "Secure" in cookies(refused)[FORM_COOKIE]
    assert "Secure" not in cookies(site.visitor().get("/sign-in", headers={"Origin": site.address}))[FORM_COOKIE]


def test_over_https_every_cookie_is_for_https_alone_whatever_host_the_proxy_asks_for(site: Site) -> None:
    visitor = site.visitor()
    https = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1", "Origin": "https://label.example"}
    form = {"csrf": visitor.form_token("/sign-in"), "name": "ana", "password": PASSWORD}
    taken = visitor.post("/sign-in", data=form, headers=https)  # Host is 127.0.0.1 here
    assert taken.status_code == 303
    assert "Secure" in cookies(taken)[SESSION_COOKIE]


def test_a_token_that_was_planted_before_never_becomes_a_session(site: Site) -> None:
    visitor = site.visitor()
    visitor.cookies.set(SESSION_COOKIE, "planted")
    answer = visitor.post("/sign-in", data={"csrf": visitor.form_token("/sign-in"), "name": "ana", "password": PASSWORD})
    assert answer.status_code == 303
    assert "planted" not in cookies(answer)[SESSION_COOKIE]
    thief = site.visitor()
    thief.cookies.set(SESSION_COOKIE, "planted")
    assert thief.get("/review").headers["location"] == "/sign-in"


def test_each_sign_in_is_a_session_of_its_own(site: Site) -> None:
    one, other = site.visitor("ana"), site.visitor("ana")
    assert one.cookies[SESSION_COOKIE] != other.cookies[SESSION_COOKIE]
    assert one.csrf != other.csrf
    assert one.act("POST", "/sign-out").status_code == 303
    assert one.get("/api/session").status_code == 401
    assert other.get("/api/session").status_code == 200


def test_signing_out_ends_the_session_on_the_server_too(site: Site) -> None:
    visitor = site.visitor("ana")
    token = visitor.cookies[SESSION_COOKIE]
    visitor.act("POST", "/sign-out")
    assert SESSION_COOKIE not in visitor.cookies
    visitor.cookies.set(SESSION_COOKIE, token)
    assert visitor.get("/review").headers["location"] == "/sign-in"


def test_wrong_passwords_lock_the_account_and_the_answer_tells_nothing(site: Site) -> None:
    visitor = site.visitor()
    said = {visitor.sign_in("nobody", "x").text.split("<form")[0]}
    for _ in range(5):
        refused = visitor.sign_in("ana", "not the password")
        assert refused.status_code == 403
        said.add(refused.text.split("<form")[0])
    assert visitor.sign_in("ana").status_code == 403  # the right one, too late
    assert len(said) == 1
    with site.database.write() as session:
        session.get_one(Account, site.ids["ana"]).locked_until = utc_now() - timedelta(seconds=1)
    assert visitor.sign_in("ana").status_code == 303


def test_a_session_in_use_does_not_go_idle(site: Site) -> None:
    visitor = site.visitor("ana")
    with site.database.write() as session:
        for one in session.query(SignInSession):
            one.seen_at = utc_now() - timedelta(minutes=100)
    assert visitor.get("/api/session").status_code == 200
    with site.database.read() as session:
        seen = [one.seen_at for one in session.query(SignInSession)]
    assert max(seen) > utc_now() - timedelta(minutes=1)


def test_the_form_needs_its_token(site: Site) -> None:
    visitor = site.visitor()
    visitor.get("/sign-in")
    for token in ("", "0" * 64):
        assert visitor.post("/sign-in", data={"csrf": token, "name": "ana", "password": PASSWORD}).status_code == 403
    assert SESSION_COOKIE not in visitor.cookies


def test_the_first_page_speaks_the_language_of_the_browser(site: Site) -> None:
    assert "Aanmelden" in site.visitor().get("/sign-in", headers={"Accept-Language": "fr, nl-BE;q=0.8, en;q=0.5"}).text
    assert "Sign in" in site.visitor().get("/sign-in", headers={"Accept-Language": "fr"}).text
