"""The errors of this room. Each message says what is wrong, where, and what to do; none repeats an ad's text."""


class ServingError(Exception):
    """Anything in ``serving`` that a caller may want to catch as one."""


class SettingsError(ServingError):
    """A setting from the environment or the command line cannot be used."""


class BulkError(ServingError):
    """A file cannot be scored, or a stopped job cannot be continued."""


class RecordError(ServingError):
    """One line of a file cannot be scored; the others can."""


class NotReadyError(ServingError):
    """No scorer yet: it is still loading, or it could not be loaded."""


class UnknownModelError(ServingError):
    """No model of the name that a caller gave is in service."""


class CallerLeftError(ServingError):
    """The connection was closed before the answer."""


class OutboxError(ServingError):
    """The folder of feedback cannot be used, or what it holds is damaged."""


class NotStoredError(ServingError):
    """Feedback was not stored, and nothing of it was kept; it can be sent again. ``retry_after`` is in seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class KeyReusedError(ServingError):
    """An idempotency key came again, with another body."""


class LineStoppedError(NotReadyError):
    """The line, or the whole service, is being stopped and takes nothing more."""


class LineFullError(ServingError):
    """Too many wait already. ``retry_after`` is in seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class KeyStoreError(ServingError):
    """The database of keys cannot be used."""


class UnknownKeyError(ServingError):
    """There is no such key, or it is at its end."""
