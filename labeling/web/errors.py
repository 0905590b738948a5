"""Why a page is not shown."""

from labeling.errors import LabelingError


class SignInNeededError(LabelingError):
    """Nobody is signed in."""


class ForgedRequestError(LabelingError):
    """The request does not come from one of our pages, or from one of before the last sign-in."""


class DailyLimitError(LabelingError):
    """The reviewer has read enough for today."""
