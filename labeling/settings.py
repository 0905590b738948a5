"""Settings of this room, from the environment (``SIGNAAL_LABEL_*``)."""

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from labeling.errors import SettingsError

_PREFIX = "SIGNAAL_LABEL_"


class LabelingSettings(BaseSettings):
    """Where the labelling room keeps its data, and how people sign in. What a project decides is in the database."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX)

    database_url: str = Field(
        default="sqlite:///data/labeling.db",
        description="Database of ads and labels: sqlite:///FILE, or postgresql://USER:PASSWORD@HOST/DATABASE.",
    )
    session_hours: float = Field(default=12, gt=0, le=720, description="Hours after which one must sign in again.")
    idle_minutes: float = Field(default=120, gt=0, le=43_200, description="Minutes without a request that end a session.")
    sign_in_attempts: int = Field(default=5, ge=1, le=100, description="Wrong passwords in a row that lock an account.")
    lock_minutes: float = Field(
        default=5, gt=0, le=1440, description="How long the first lock lasts; it doubles with each wrong password, up to a day."
    )


def settings_from_environment() -> LabelingSettings:
    """The settings as the environment has them.

    Raises:
        SettingsError: a variable cannot be what it is; names it, and not its value.
    """
    try:
        return LabelingSettings()
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise SettingsError(f"{_PREFIX}{str(first['loc'][0]).upper()}: {first['msg']}.") from None
