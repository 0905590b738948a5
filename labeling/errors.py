"""The errors of this room."""


class LabelingError(Exception):
    """Anything in ``labeling`` that a caller may want to catch as one."""


class MarkupError(LabelingError):
    """Inline markup that cannot be read."""


class CorpusError(LabelingError):
    """A corpus file breaks its schema or its rules; ``problems`` holds a line for each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class SettingsError(LabelingError):
    """A variable of the environment cannot be what it is."""


class StoreError(LabelingError):
    """The database cannot be used."""


class AccountError(LabelingError):
    """An account cannot be made or changed as asked.

    Args:
        message: in English, for the console.
        phrase: the same on the pages, in the visitor's language: ``account_problem.PHRASE``, filled with ``values``.
    """

    def __init__(self, message: str, phrase: str, **values: object) -> None:
        self.phrase, self.values = f"account_problem.{phrase}", values
        super().__init__(message)


class IntakeError(LabelingError):
    """A file as a whole cannot be taken in."""


class IncompleteImportError(IntakeError):
    """Rows of an import were refused; each was named already."""

    def __init__(self, refused: int) -> None:
        super().__init__(f"{refused} rows were refused; the others are in. Mend them and import the file again.")


class WorkError(LabelingError):
    """What a reviewer asks cannot be done; nothing was changed."""


class NotFoundError(WorkError):
    """There is no such assignment or ad."""


class NotAllowedError(WorkError):
    """It is another's, or the role does not allow it."""


class DraftError(WorkError):
    """An opinion breaks a rule; ``problems`` holds a line for each, without any text of the ad."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(" ".join(problems))


class ClosedError(WorkError):
    """The assignment is not open any more: done, skipped, lapsed and taken over, or the ad is decided."""


class StaleVersionError(WorkError):
    """Someone saved in between (another tab, another adjudicator). ``stored`` is what is there now: an
    ``labeling.opinion.StoredOpinion``, or None when nothing is; ``done``: whether it counts as done."""

    def __init__(self, message: str, stored: object, *, done: bool = False) -> None:
        self.stored, self.done = stored, done
        super().__init__(message)


class AnnotationError(LabelingError):
    """Annotations do not fit one another, or the ad they are of."""


class ExportError(LabelingError):
    """Labels cannot be exported, or an export is not what it was."""


class UnsettledError(ExportError):
    """An ad has no final labels. ``reason`` says why, as the end of "3 ads …"."""

    def __init__(self, message: str, reason: str) -> None:
        self.reason = reason
        super().__init__(message)


class ExchangeError(LabelingError):
    """A file for, or of, another tool cannot be read or written."""
