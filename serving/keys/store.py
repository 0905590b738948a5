"""Keys and what was used of their daily quota, in the database. Safe from several threads and processes at once."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from serving.errors import UnknownKeyError
from serving.keys.database import keys, open_database, quota_use, store_error
from serving.keys.secret import Presented, digest_of, digests_equal, new_key_id, new_token

State = Literal["active", "expired", "revoked"]


class Scope(StrEnum):
    """What a key may be used for."""

    SCORE = "score"
    FEEDBACK = "feedback"
    METRICS = "metrics"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret. Times are UTC; ``last_used`` is a day, so that it tells nobody's hours."""

    id: str
    name: str
    scopes: frozenset[str]
    digest: str
    previous_digest: str | None
    previous_until: datetime | None
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    last_used: date | None
    ads_per_minute: int | None
    ads_per_day: int | None

    @classmethod
    def of(cls, row: Row[Any]) -> "Key":
        fields = row._asdict()
        return cls(**fields | {"scopes": frozenset(fields["scopes"].split())})

    def state(self, now: datetime) -> State:
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and now >= self.expires else "active"


def accepts(key: Key | None, shown: Presented, now: datetime) -> bool:
    """Whether what was shown is this key's secret, and may be used. The same work is done when there is no such key."""
    is_current = digests_equal(key.digest if key else None, shown.digest)
    is_previous = digests_equal(key.previous_digest if key else None, shown.digest)
    if key is None or key.state(now) != "active":
        return False
    return is_current or (is_previous and key.previous_until is not None and now < key.previous_until)


class Taken(NamedTuple):
    """Whether ads could be taken off the quota of a day, and how many of it are used now."""

    ok: bool
    used: int


class KeyStore:
    """The keys in a database.

    Args:
        address: ``sqlite:///FILE`` or ``postgresql://…``.

    Raises:
        KeyStoreError: from every method too, when the database cannot be used.
    """

    def __init__(self, address: str) -> None:
        self._reader = open_database(address)
        self._writer = self._reader.execution_options(writes=True)

    def close(self) -> None:
        """Let the connections go."""
        self._reader.dispose()

    def create(
        self,
        name: str,
        scopes: Collection[Scope],
        *,
        expires: datetime | None = None,
        ads_per_minute: int | None = None,
        ads_per_day: int | None = None,
    ) -> tuple[Key, str]:
        """A new key, and the text of it with its secret, which is kept nowhere."""
        token = new_token(key_id := new_key_id())
        values = {
            "id": key_id,
            "name": name,
            "scopes": " ".join(sorted(scopes)),
            "digest": digest_of(token),
            "created": datetime.now(UTC),
            "expires": expires,
            "ads_per_minute": ads_per_minute,
            "ads_per_day": ads_per_day,
        }
        with self._writing() as connection:
            return Key.of(connection.execute(insert(keys).values(values).returning(*keys.c)).one()), token

    def all(self) -> list[Key]:
        """Every key, the oldest first, revoked ones too."""
        with self._reading() as connection:
            return [Key.of(row) for row in connection.execute(select(keys).order_by(keys.c.created, keys.c.id))]

    def find(self, key_id: str) -> Key | None:
        """The key with this id."""
        with self._reading() as connection:
            row = connection.execute(select(keys).where(keys.c.id == key_id)).one_or_none()
        return None if row is None else Key.of(row)

    def revoke(self, key_id: str) -> Key:
        """End a key for good, with both its secrets. One that was revoked already stays as it is.

        Raises:
            UnknownKeyError: there is no such key.
        """
        changing = update(keys).where(keys.c.id == key_id, keys.c.revoked.is_(None)).values(revoked=datetime.now(UTC))
        with self._writing() as connection:
            connection.execute(changing)
        return self._known(key_id)

    def rotate(self, key_id: str, grace: timedelta) -> tuple[Key, str]:
        """A new secret for a key; the one until now is good for ``grace`` longer, and one before that no more.

        Raises:
            UnknownKeyError: there is no such key, or it is revoked or expired.
        """
        now, token = datetime.now(UTC), new_token(key_id)
        is_active = keys.c.revoked.is_(None) & (keys.c.expires.is_(None) | (keys.c.expires > now))
        changing = (
            update(keys)
            .where(keys.c.id == key_id, is_active)
            .values(previous_digest=keys.c.digest, previous_until=now + grace, digest=digest_of(token))
            .returning(*keys.c)
        )
        with self._writing() as connection:
            row = connection.execute(changing).one_or_none()
        if row is None:
            state = self._known(key_id).state(now)
            raise UnknownKeyError(f"The key {key_id} is {state}. Make another: signaal-serve keys create.")
        return Key.of(row), token

    def mark_used(self, key_id: str, day: date) -> None:
        """Note the day of use, and forget what was used of the quota on days that are over."""
        with self._writing() as connection:
            connection.execute(update(keys).where(keys.c.id == key_id).values(last_used=day))
            # The day before stays: another machine's clock may be behind.
            over = quota_use.c.day < day - timedelta(days=1)
            connection.execute(delete(quota_use).where(quota_use.c.key_id == key_id, over))

    def take(self, key_id: str, day: date, ads: int, limit: int) -> Taken:
        """Use ``ads`` of the day's quota, all or none of them."""
        dialect: Any = sqlite if self._reader.dialect.name == "sqlite" else postgresql
        adding = dialect.insert(quota_use).values(key_id=key_id, day=day, ads=ads)
        # One statement, so that check and addition cannot come apart, whoever else counts at the moment.
        adding = adding.on_conflict_do_update(
            index_elements=[quota_use.c.key_id, quota_use.c.day],
            set_={"ads": quota_use.c.ads + ads},
            where=quota_use.c.ads + ads <= limit,
        ).returning(quota_use.c.ads)
        with self._writing() as connection:
            used = connection.scalar(adding) if ads <= limit else None  # the condition guards additions, not the first
            if used is None:
                return Taken(False, _used(connection, key_id, day))
        return Taken(True, used)

    def give_back(self, key_id: str, day: date, ads: int) -> None:
        """Undo ``take``, for ads that were not scored."""
        this_day = (quota_use.c.key_id == key_id, quota_use.c.day == day)
        with self._writing() as connection:
            connection.execute(update(quota_use).where(*this_day).values(ads=quota_use.c.ads - ads))

    def used(self, key_id: str, day: date) -> int:
        """How many ads of the day's quota are used."""
        with self._reading() as connection:
            return _used(connection, key_id, day)

    def _known(self, key_id: str) -> Key:
        if (key := self.find(key_id)) is None:
            raise UnknownKeyError(f"There is no key {key_id}. signaal-serve keys list shows those that there are.")
        return key

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self._reader.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise store_error(self._reader, error) from error

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        try:
            with self._writer.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise store_error(self._reader, error) from error


def _used(connection: Connection, key_id: str, day: date) -> int:
    return connection.scalar(select(quota_use.c.ads).where(quota_use.c.key_id == key_id, quota_use.c.day == day)) or 0
