"""Saving an opinion: each save has the version that it builds on, so that of two tabs neither undoes the other.

A save may come twice: it was stored, its answer got lost on the way, and the page sends it again. That is no conflict.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from labeling.errors import StaleVersionError
from labeling.opinion import Draft, StoredOpinion, columns_of
from labeling.store.tables import Account, AnnotationVersion, Assignment, AssignmentState, StoredAnnotation
from labeling.work import audit
from labeling.work.assignment import hold, locked_ad, own_assignment
from labeling.work.settling import settle
from models.taxonomy import packaged_taxonomy


def save(session: Session, assignment_id: int, annotator: str, version: int, draft: Draft, *, done: bool, now: datetime) -> int:
    """Keep an opinion; gives its new version. Every save is in the history. A save that is stored already, because it was sent
    before, is not stored again: its version is given, and the assignment says whether it is done.

    Args:
        version: the version that the draft was made from; 0 when there was none.
        done: whether the reviewer is done with the ad; then what was not judged is judged absent, but for opt-outs.

    Raises:
        NotFoundError, NotAllowedError: there is no such assignment, or it is another's.
        ClosedError: it is done or skipped, or lapsed and taken over.
        StaleVersionError: another version is stored; the error has it.
        DraftError: the draft breaks a rule.
    """
    taxonomy = packaged_taxonomy()
    assignment = own_assignment(session, assignment_id, annotator, lock=True)
    stored = session.get(StoredAnnotation, assignment_id, populate_existing=True)
    if version != (stored.version if stored else 0):
        if stored is not None and version == stored.version - 1 and _says(stored, draft, assignment):
            return stored.version
        raise StaleVersionError(
            f"This ad was saved elsewhere meanwhile: version {stored.version if stored else 0} is stored, not {version}.",
            stored and StoredOpinion.of_annotation(stored, annotator),
            done=assignment.state == AssignmentState.DONE,
        )
    ad = locked_ad(session, assignment.ad_number)
    hold(session, assignment, ad, now)
    draft = draft.checked(ad.text, taxonomy)
    if done:
        account = session.get_one(Account, annotator)
        draft = draft.complete(taxonomy, account.opt_outs)
    values = columns_of(draft) | {"seconds": draft.seconds, "saved_at": now, "version": version + 1}
    if stored is None:
        session.add(StoredAnnotation(assignment_id=assignment_id, **values))
    else:
        for name, value in values.items():
            setattr(stored, name, value)
    session.add(AnnotationVersion(assignment_id=assignment_id, done=done, **values))
    if done:
        assignment.state, assignment.done_at = AssignmentState.DONE, now
        settle(session, ad)
    audit.record(session, now, annotator, audit.Action.DONE if done else audit.Action.SAVED, ad.number, f"version {version + 1}")
    session.flush()
    return version + 1


def _says(stored: StoredAnnotation, draft: Draft, assignment: Assignment) -> bool:
    """Whether a draft is what is stored, once it is masked and completed as that was."""
    taxonomy = packaged_taxonomy()
    draft = draft.checked(assignment.ad.text, taxonomy)
    if assignment.state == AssignmentState.DONE:
        draft = draft.complete(taxonomy, assignment.account.opt_outs)
    kept = StoredOpinion.of_annotation(stored, assignment.account_id).draft
    return kept.model_copy(update={"seconds": draft.seconds}) == draft  # the watch ran on
