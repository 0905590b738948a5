"""The errors of this room. Each message says what is wrong, where, and what to do about it."""


class ModelError(Exception):
    """Anything in ``models`` that a caller may want to catch as one."""


class TaxonomyError(ModelError):
    """A taxonomy file, or a label id, is not what it should be."""


class ExampleError(ModelError):
    """A labelled-examples file has a line that cannot be used."""


class BaseEncoderError(ModelError):
    """The base encoder could not be fetched, verified or converted, or has fewer layers than were asked for."""


class BundleError(ModelError):
    """A bundle is incomplete, tampered with or made for another taxonomy."""


class RegistryError(ModelError):
    """A model could not be found in, or written to, MLflow."""
