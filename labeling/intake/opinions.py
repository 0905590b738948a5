"""Opinions that people gave elsewhere, in Label Studio for one, into the room: finished work of closed accounts, one an
annotator, so that they count for consensus, agreement, queue and export as any other.

Ads come in as by every import: contact details masked in as many characters as they had, so offsets hold. The same file a
second time changes nothing; an opinion that was changed there since is changed here, and its history has both.
"""

import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from labeling.accounts.registering import by_name, make_account, set_active
from labeling.accounts.roles import Role
from labeling.annotation import Annotation
from labeling.errors import AccountError, DraftError
from labeling.intake.importing import ImportReport, in_batches, prepare, store_ads
from labeling.intake.rows import IncomingAd
from labeling.label_studio import ANNOTATOR_PREFIX, ExchangedAd
from labeling.opinion import Draft, StoredOpinion, columns_of
from labeling.store.database import Database
from labeling.store.tables import Account, Ad, AdState, AnnotationVersion, Assignment, AssignmentState, StoredAnnotation
from labeling.work import audit
from labeling.work.assignment import locked_ad
from labeling.work.settling import settle
from models.taxonomy import packaged_taxonomy

OTHERS_PREFIX = "elsewhere-"
"""Names of accounts of annotators who are of neither Label Studio nor this room."""
_LONGEST_SECONDS = 86_400


@dataclass(slots=True)
class OpinionReport:
    """What became of the ads and of the opinions on them."""

    ads: ImportReport = field(default_factory=ImportReport)
    new: int = 0
    changed: int = 0
    known: int = 0
    """There already, or a later one of the same annotator is."""
    problems: list[str] = field(default_factory=list)
    """Sentences that name the ad and quote nothing of its text."""


def import_opinions(
    database: Database,
    ads: Sequence[ExchangedAd],
    annotations: Sequence[Annotation],
    source: str,
    now: datetime,
    done: Callable[[int], None] = lambda _: None,
) -> OpinionReport:
    """Take ads and the opinions on them in, a thousand ads a transaction.

    Args:
        annotations: one of each annotator and ad. An annotator that is an account of this room is one whose opinion went out
            from here: it is never changed by what comes back.
        source: where they come from; a file's name.
        done: is told how many ads more are done with.
    """
    report = OpinionReport()
    of_ad: dict[str, list[Annotation]] = defaultdict(list)
    for annotation in annotations:
        of_ad[annotation.ad_id].append(annotation)
    with database.write() as session:
        accounts = _accounts(session, sorted({a.annotator for a in annotations}), now, report)
    for batch in in_batches(ads):
        rows = [(number, _fields(ad)) for number, ad in enumerate(batch)]
        prepared, problems = prepare(rows, IncomingAd)
        with database.write() as session:
            store_ads(session, prepared, source, now, report.ads)
            texts = {ad.id: ad.text for ad in prepared}
            for number, ad_id in _there(session, texts):
                for annotation in of_ad[ad_id]:
                    if (account := accounts.get(annotation.annotator)) is not None:
                        _store(session, number, account, annotation, now, report)
        refused = [*problems, *report.ads.problems]
        report.problems += [f"Ad {batch[problem.line].id}: {problem.what}." for problem in refused]
        report.ads.problems.clear()
        done(len(batch))
    with database.write() as session:
        counts = f"{report.ads.imported} ads, {report.new} opinions, {report.changed} changed, {len(report.problems)} refused"
        audit.record(session, now, None, audit.Action.IMPORTED, detail=counts)
    return report


def _fields(ad: ExchangedAd) -> dict[str, str | None]:
    return {"id": ad.id, "text": ad.text, "language": None if ad.language == "und" else ad.language}


def _accounts(session: Session, annotators: Iterable[str], now: datetime, report: OpinionReport) -> dict[str, Account]:
    """Annotator → account; one that is missing is made, and closed at once: nobody signs in with it."""
    found: dict[str, Account] = {}
    for annotator in annotators:
        account = session.get(Account, annotator)  # an opinion that went out from here
        name = annotator if annotator.startswith(ANNOTATOR_PREFIX) else f"{OTHERS_PREFIX}{annotator}"
        account = account or by_name(session, name)
        if account is None:
            try:
                account = make_account(session, name, secrets.token_urlsafe(32), Role.ANNOTATOR, now)
            except AccountError:
                report.problems.append("An annotator's id cannot be the name of an account; those opinions are left out.")
                continue
            set_active(session, account, False, now, None)
        found[annotator] = account
    return found


def _there(session: Session, texts: Mapping[str, str]) -> list[tuple[int, str]]:
    """Number and id of the ads that are in with these texts, in order of number, in which all who lock ads lock them."""
    rows = session.execute(select(Ad.number, Ad.id, Ad.text).where(Ad.id.in_(texts)).order_by(Ad.number))
    return [(row.number, row.id) for row in rows if row.text == texts[row.id]]


def _store(session: Session, number: int, account: Account, annotation: Annotation, now: datetime, report: OpinionReport) -> None:
    ad = locked_ad(session, number)
    try:
        draft = _draft(annotation, ad.text)
    except (DraftError, ValidationError):
        report.problems.append(f"Ad {ad.id}: an opinion breaks a rule (a span outside the text, or too many); left out.")
        return
    of_account = Assignment.account_id == account.id, Assignment.ad_number == number
    assignment = session.scalar(select(Assignment).where(*of_account))
    stored = None if assignment is None else session.get(StoredAnnotation, assignment.id)
    saved_at = _moment(annotation, now)
    if stored is not None and (
        StoredOpinion.of_annotation(stored, account.id).draft == draft or (annotation.saved_at and saved_at < stored.saved_at)
    ):
        report.known += 1
    elif account.active or not account.name.startswith((ANNOTATOR_PREFIX, OTHERS_PREFIX)):
        report.problems.append(
            f"Ad {ad.id}: an opinion of {account.name}, a reviewer of this room, is not the one that was given here; left out."
        )
    elif ad.state == AdState.RESOLVED:
        report.problems.append(f"Ad {ad.id}: an adjudicator has decided it; an opinion is left out.")
    else:
        _keep(session, ad, account, draft, saved_at, assignment, stored)
        version = 1 if stored is None else stored.version
        report.new += stored is None
        report.changed += stored is not None
        audit.record(session, now, None, audit.Action.IMPORTED, number, f"opinion of {account.id}, version {version}")


def _keep(
    session: Session,
    ad: Ad,
    account: Account,
    draft: Draft,
    saved_at: datetime,
    assignment: Assignment | None,
    stored: StoredAnnotation | None,
) -> None:
    if assignment is None:
        assignment = Assignment(
            ad_number=ad.number,
            account_id=account.id,
            state=AssignmentState.DONE,
            gold=ad.gold is not None,
            assigned_at=saved_at,
            leased_until=saved_at,
            done_at=saved_at,
        )
        session.add(assignment)
        session.flush()
        if not assignment.gold:
            ad.slots_left -= 1  # below 0 where more people gave an opinion than the overlap asks for
    version = 1 if stored is None else stored.version + 1
    values = columns_of(draft) | {"seconds": draft.seconds, "saved_at": saved_at, "version": version}
    if stored is None:
        session.add(StoredAnnotation(assignment_id=assignment.id, **values))
    else:
        for name, value in values.items():
            setattr(stored, name, value)
    session.add(AnnotationVersion(assignment_id=assignment.id, done=True, **values))
    settle(session, ad)


def _draft(annotation: Annotation, text: str) -> Draft:
    """The opinion as it is kept. Labels that were not judged stay so."""
    taxonomy = packaged_taxonomy()
    seconds = annotation.seconds if annotation.seconds is not None and annotation.seconds <= _LONGEST_SECONDS else None
    said = {name: getattr(annotation, name) for name in Draft.model_fields if name != "seconds"}
    return Draft(**said, seconds=seconds).checked(text, taxonomy).complete(taxonomy, taxonomy.label_ids)


def _moment(annotation: Annotation, now: datetime) -> datetime:
    """When it was saved there; never later than now, and in UTC where no time zone is given."""
    saved_at = annotation.saved_at or now
    return min(saved_at if saved_at.tzinfo else saved_at.replace(tzinfo=UTC), now)
