"""Whether a key is good, and for how long that is remembered."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from serving.keys import guard as guard_module
from serving.keys import secret
from serving.keys.guard import GOOD_FOR_SECONDS, Guard
from serving.keys.secret import new_key_id, new_token
from serving.keys.store import KeyStore, Scope
from serving.problems import KEYS_UNAVAILABLE, NO_VALID_KEY, ProblemError
from tests.serving.keys.conftest import shown
from tests.serving.keys.test_limits import Clock

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(work)


def refusal(guard: Guard, token: str) -> ProblemError:
    with pytest.raises(ProblemError) as error:
        run(guard.verify(shown(token)))
    return error.value


def test_a_good_key_is_known_and_its_day_of_use_noted(store: KeyStore) -> None:
    made, token = store.create("desk", {Scope.SCORE})
    assert run(Guard(store).verify(shown(token))) == made
    found = store.find(made.id)
    assert found is not None
    assert found.last_used == datetime.now(UTC).date()


def test_what_is_wrong_with_a_key_is_not_told(sqlite_store: KeyStore) -> None:
    revoked, of_revoked = sqlite_store.create("desk", {Scope.SCORE})
    sqlite_store.revoke(revoked.id)
    _, of_expired = sqlite_store.create("desk", {Scope.SCORE}, expires=datetime(2020, 1, 1, tzinfo=UTC))
    good, _ = sqlite_store.create("desk", {Scope.SCORE})
    guard = Guard(sqlite_store)
    refusals = [refusal(guard, token) for token in (of_revoked, of_expired, new_token(good.id), new_token(new_key_id()))]
    assert {(one.kind, one.detail, one.headers["WWW-Authenticate"]) for one in refusals} == {
        (NO_VALID_KEY, "The key is unknown, revoked or expired.", 'Bearer realm="signaal", error="invalid_token"')
    }


def test_the_same_work_is_done_for_a_wrong_secret_and_an_unknown_id(
    sqlite_store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, token = sqlite_store.create("desk", {Scope.SCORE})
    guard = Guard(sqlite_store)
    run(guard.verify(shown(token)))  # so that it is remembered
    done: list[str] = []
    compare, find = secret.hmac.compare_digest, sqlite_store.find
    monkeypatch.setattr(secret.hmac, "compare_digest", lambda one, other: done.append("compare") or compare(one, other))
    monkeypatch.setattr(sqlite_store, "find", lambda key_id: done.append("find") or find(key_id))
    work = []
    for wrong in (new_token(made.id), new_token(new_key_id())):
        done.clear()
        refusal(guard, wrong)
        work.append(list(done))
    assert work[0] == work[1]
    assert "find" in work[0]
    assert "compare" in work[0]


def test_a_revocation_is_noticed_when_the_seconds_are_over(sqlite_store: KeyStore) -> None:
    clock = Clock()
    guard = Guard(sqlite_store, clock)
    made, token = sqlite_store.create("desk", {Scope.SCORE})
    run(guard.verify(shown(token)))
    sqlite_store.revoke(made.id)
    clock.now += GOOD_FOR_SECONDS - 0.1
    assert run(guard.verify(shown(token))).id == made.id
    clock.now += 0.1
    assert refusal(guard, token).kind == NO_VALID_KEY


def test_an_expiry_and_the_end_of_a_grace_period_are_noticed_at_once(
    sqlite_store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    expires = datetime.now(UTC) + timedelta(days=2)
    made, old = sqlite_store.create("desk", {Scope.SCORE}, expires=expires)
    _, new = sqlite_store.rotate(made.id, timedelta(days=1))
    guard = Guard(sqlite_store, Clock())
    for token in (old, new):
        run(guard.verify(shown(token)))

    class Later(datetime):
        days = 0.0

        @classmethod
        def now(cls, tz: Any = None) -> "datetime":  # type: ignore[override]
            return datetime.now(tz) + timedelta(days=cls.days)

    monkeypatch.setattr(guard_module, "datetime", Later)
    Later.days = 1.01
    assert refusal(guard, old).kind == NO_VALID_KEY
    assert run(guard.verify(shown(new))).id == made.id
    Later.days = 2.01
    assert refusal(guard, new).kind == NO_VALID_KEY


def test_a_remembered_key_does_not_ask_the_database(sqlite_store: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    _, token = sqlite_store.create("desk", {Scope.SCORE})
    guard = Guard(sqlite_store)
    run(guard.verify(shown(token)))
    monkeypatch.setattr(sqlite_store, "find", lambda _: pytest.fail("asked"))
    run(guard.verify(shown(token)))


def test_nobody_is_let_in_when_the_database_does_not_answer(store: KeyStore, caplog: pytest.LogCaptureFixture) -> None:
    made, token = store.create("desk", {Scope.SCORE})
    with store._writing() as connection:
        connection.exec_driver_sql("ALTER TABLE api_keys RENAME TO elsewhere")
    problem = refusal(Guard(store), token)
    assert (problem.kind, problem.headers) == (KEYS_UNAVAILABLE, {"Retry-After": "5"})
    assert "api_keys" in caplog.text, "the log says why"
    assert made.id not in caplog.text, "and not what was asked"
    assert "api_keys" not in problem.detail


def test_each_key_has_a_minute_of_its_own(sqlite_store: KeyStore) -> None:
    guard = Guard(sqlite_store)
    slow, _ = sqlite_store.create("desk", {Scope.SCORE}, ads_per_minute=5)
    fast, _ = sqlite_store.create("desk", {Scope.SCORE}, ads_per_minute=50)
    free, _ = sqlite_store.create("desk", {Scope.SCORE})
    bucket = guard.bucket_of(slow)
    assert bucket is not None
    assert guard.bucket_of(slow) is bucket
    assert guard.bucket_of(fast) is not bucket, "each key has its own"
    assert guard.bucket_of(free) is None
