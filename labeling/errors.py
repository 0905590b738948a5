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


class AnnotationError(LabelingError):
    """Annotations do not fit one another, or the ad they are of."""


class ExportError(LabelingError):
    """Labels cannot be exported, or an export is not what it was."""


class ExchangeError(LabelingError):
    """A file for, or of, another tool cannot be read or written."""
