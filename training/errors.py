"""The errors of this room."""


class TrainingError(Exception):
    """Training or evaluation cannot go on; the message says why and what to do."""


class ConfigurationError(TrainingError):
    """The configuration of a run is wrong; the message says in which line, and what would be right."""
