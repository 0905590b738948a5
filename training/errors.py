"""The errors of this room."""


class TrainingError(Exception):
    """Training or evaluation cannot go on; the message says why and what to do."""
