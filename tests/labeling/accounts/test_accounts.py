from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, text, update

from labeling.accounts.passwords import hash_password, is_password
from labeling.accounts.registering import by_name, change_password, change_role, make_account, set_active
from labeling.accounts.roles import Role, allows, demand
from labeling.accounts.sessions import SignedIn, account_of, mark_seen, needs_mark, sign_in, sign_out
from labeling.errors import AccountError, NotAllowedError
from labeling.settings import LabelingSettings
from labeling.store.database import Database
from labeling.store.tables import Account, Audit, SignInSession
from tests.labeling.conftest import NOW, PASSWORD, add_account

SETTINGS = LabelingSettings(sign_in_attempts=3, lock_minutes=5, session_hours=12, idle_minutes=60)


@pytest.fixture(autouse=True)
def _quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2id still, with less work."""
    monkeypatch.setattr("labeling.accounts.passwords._hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


def signed_in(database: Database, at: datetime = NOW) -> SignedIn:
    session = sign_in(database, "ann", PASSWORD, at, SETTINGS)
    assert session is not None
    return session


def who(database: Database, token: str, at: datetime) -> str | None:
    with database.read() as session:
        account = account_of(session, token, at, SETTINGS)
        return account and account.name


def test_a_hash_holds_no_password_and_fits_no_other() -> None:
    stored = hash_password(PASSWORD)
    assert PASSWORD not in stored
    assert stored.startswith("$argon2id$")
    assert stored != hash_password(PASSWORD)
    assert is_password(PASSWORD, stored)
    assert not is_password(PASSWORD + "!", stored)
    assert not is_password(PASSWORD, None)
    assert not is_password(PASSWORD, "no hash")


@pytest.mark.parametrize("password", ["short", "x" * 201])
def test_a_password_of_a_wrong_length_is_refused(password: str) -> None:
    with pytest.raises(AccountError, match="12 to 200"):
        hash_password(password)


def test_signing_in_and_out(database: Database) -> None:
    add_account(database, "ann")
    session = signed_in(database)
    assert who(database, session.token, NOW) == "ann"
    with database.write() as transaction:
        sign_out(transaction, session.token, NOW)
    assert who(database, session.token, NOW) is None


def test_each_sign_in_has_a_new_token_and_only_its_digest_is_kept(database: Database) -> None:
    add_account(database, "ann")
    first, second = signed_in(database), signed_in(database)
    assert first.token != second.token
    with database.read() as session:
        kept = session.scalars(select(SignInSession.token_digest)).all()
    assert len(kept) == 2
    assert not {first.token, second.token} & set(kept)


def test_a_session_ends_when_its_time_is_over_or_nothing_came(database: Database) -> None:
    add_account(database, "ann")
    token = signed_in(database).token
    assert who(database, token, NOW + timedelta(minutes=59)) == "ann"
    assert who(database, token, NOW + timedelta(minutes=60)) is None
    for minutes in range(30, 12 * 60, 30):
        with database.write() as session:
            assert needs_mark(session, token, NOW + timedelta(minutes=minutes))
            mark_seen(session, token, NOW + timedelta(minutes=minutes))
    assert who(database, token, NOW + timedelta(hours=11, minutes=59)) == "ann"
    assert who(database, token, NOW + timedelta(hours=12)) is None


def test_whoever_signs_in_clears_away_the_sessions_that_are_over_and_no_others(database: Database) -> None:
    for name in ("ann", "bea"):
        add_account(database, name)

    def left_when_bea_signs_in(minutes: int) -> int:
        assert sign_in(database, "bea", PASSWORD, NOW + timedelta(minutes=minutes), SETTINGS)
        with database.read() as session:
            return session.query(SignInSession).count()

    token = signed_in(database).token
    assert left_when_bea_signs_in(59) == 2
    assert who(database, token, NOW + timedelta(minutes=59)) == "ann"
    assert left_when_bea_signs_in(60) == 2, "ann's is idle and gone; bea has two"
    with database.write() as session:
        session.execute(update(SignInSession).values(seen_at=NOW + timedelta(hours=13)))
    assert left_when_bea_signs_in(13 * 60) == 1, "however busy, 12 hours are the end"


def test_wrong_passwords_lock_the_account_longer_each_time(database: Database) -> None:
    add_account(database, "ann")
    for _ in range(3):
        assert sign_in(database, "ann", "wrong password here", NOW, SETTINGS) is None
    assert sign_in(database, "ann", PASSWORD, NOW + timedelta(minutes=4), SETTINGS) is None
    assert sign_in(database, "ann", "wrong password here", NOW + timedelta(minutes=5), SETTINGS) is None
    assert sign_in(database, "ann", PASSWORD, NOW + timedelta(minutes=14), SETTINGS) is None
    assert sign_in(database, "ann", PASSWORD, NOW + timedelta(minutes=15), SETTINGS) is not None
    for _ in range(2):
        assert sign_in(database, "ann", "wrong password here", NOW + timedelta(minutes=16), SETTINGS) is None
    assert sign_in(database, "ann", PASSWORD, NOW + timedelta(minutes=16), SETTINGS) is not None


def test_guesses_made_at_once_count_all(database: Database) -> None:
    add_account(database, "ann")
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: sign_in(database, "ann", "wrong password here", NOW, SETTINGS), range(10)))
    assert answers == [None] * 10
    with database.read() as session:
        account = by_name(session, "ann")
        assert account is not None
        assert account.failed_sign_ins == 3
        assert account.locked_until == NOW + timedelta(minutes=5)


def test_an_unknown_name_is_refused_and_noted_without_the_name(database: Database) -> None:
    assert sign_in(database, "nobody", PASSWORD, NOW, SETTINGS) is None
    with database.read() as session:
        noted = session.scalars(select(Audit)).one()
    assert (noted.action, noted.account_id, noted.detail) == ("sign-in refused", None, "")


def test_a_closed_account_has_no_session_and_gets_none(database: Database) -> None:
    account = add_account(database, "ann")
    token = signed_in(database).token
    with database.write() as session:
        set_active(session, session.get_one(Account, account), False, NOW, None)
    assert who(database, token, NOW) is None
    assert sign_in(database, "ann", PASSWORD, NOW, SETTINGS) is None


@pytest.mark.parametrize("change", ["password", "role"])
def test_a_new_password_or_role_ends_sessions(database: Database, change: str) -> None:
    account = add_account(database, "ann")
    token = signed_in(database).token
    with database.write() as session:
        stored = session.get_one(Account, account)
        if change == "password":
            change_password(session, stored, "another good password", NOW, None)
        else:
            change_role(session, stored, Role.ADJUDICATOR, NOW, None)
    assert who(database, token, NOW) is None


@pytest.mark.parametrize("name", ["a", "two words", "x" * 65, "a@b", "<script>"])
def test_a_name_that_is_not_fit_is_refused(database: Database, name: str) -> None:
    with pytest.raises(AccountError, match="2 to 64"):
        add_account(database, name)


def test_a_name_is_taken_once(database: Database) -> None:
    add_account(database, "ann")
    with pytest.raises(AccountError, match="already"):
        add_account(database, "ann")


@pytest.mark.parametrize("change", ["role", "close"])
def test_the_last_admin_stays(database: Database, change: str) -> None:
    account = add_account(database, "ada", Role.ADMIN)

    def end() -> None:
        with database.write() as session:
            stored = session.get_one(Account, account)
            if change == "role":
                change_role(session, stored, Role.ANNOTATOR, NOW, None)
            else:
                set_active(session, stored, False, NOW, None)

    with pytest.raises(AccountError, match="only admin"):
        end()
    add_account(database, "bea", Role.ADMIN)
    end()


def test_roles_contain_one_another() -> None:
    assert [[allows(role, needed) for needed in Role] for role in Role] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


def test_what_needs_a_role_needs_an_active_account(database: Database) -> None:
    account = add_account(database, "ada", Role.ADMIN)
    add_account(database, "bea", Role.ADMIN)
    with database.write() as session:
        stored = session.get_one(Account, account)
        assert demand(stored, Role.ADMIN) is stored
        set_active(session, stored, False, NOW, None)
        with pytest.raises(NotAllowedError):
            demand(stored, Role.ANNOTATOR)
        with pytest.raises(NotAllowedError):
            demand(None, Role.ANNOTATOR)


def test_no_table_holds_a_password(database: Database) -> None:
    with database.write() as session:
        make_account(session, "ann", PASSWORD, Role.ANNOTATOR, NOW)
    with database.read() as session:
        assert PASSWORD not in str(session.execute(text("SELECT * FROM account")).all())
