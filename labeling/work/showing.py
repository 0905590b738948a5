"""What a reviewer is shown beside an ad: what a model suggests, where the project shows it.

It is noted in the assignment, for good, and is in the provenance of what is exported: ``blind`` can be changed at any time, and
an opinion that was led must be told from one that was not.
"""

from labeling.project import ProjectSettings
from labeling.store.tables import Assignment, Suggestion


def shown_suggestion(assignment: Assignment, project: ProjectSettings) -> Suggestion | None:
    """What a model suggests for an ad that is just given to its reviewer; None where they are to read without."""
    suggestion = assignment.ad.suggestion
    if project.blind or suggestion is None:
        return None
    assignment.suggested_by = suggestion.bundle_digest
    return suggestion
