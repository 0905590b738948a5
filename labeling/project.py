"""How a labelling project works: what its admin sets on the settings page."""

from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator

from labeling.queue import Mixing


class ProjectSettings(BaseModel):
    """One project's rules. Stored in the database, changed while it runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    blind: bool = Field(default=True, description="Reviewers do not see what a model suggests.")
    overlap: int = Field(default=2, ge=1, le=10, description="Reviewers who read each ad, none knowing of the others.")
    gold_share: float = Field(default=0.05, ge=0, le=0.5, description="Share of the ads given out that are gold items.")
    blur: bool = Field(default=True, description="A text is blurred until the reviewer asks to see it.")
    daily_limit: int = Field(default=150, ge=1, le=2000, description="Ads that one reviewer is shown a day at most.")
    pause_after: int = Field(default=40, ge=1, le=2000, description="Ads without a break after which a pause is proposed.")
    break_minutes: int = Field(default=10, ge=1, le=240, description="How long without a new ad counts as a break.")
    lease_minutes: int = Field(default=60, ge=1, le=10_080, description="How long an ad without a save is kept for its reviewer.")
    timezone: str = Field(default="Europe/Amsterdam", description="IANA time zone in which a day begins.")
    support_text: str = Field(
        default="", max_length=4000, description="Whom reviewers can turn to; shown on every page of theirs."
    )
    mixing: dict[str, float] = Field(
        default_factory=lambda: Mixing().model_dump(),
        description="Share of the queue by strategy: random, uncertainty, diversity, under_covered, feedback_first.",
    )
    retention_days: int | None = Field(
        default=None, ge=1, le=36_500, description="Days after import at which `signaal-label purge` erases an ad; none: never."
    )

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("is no time zone of the IANA list, such as Europe/Amsterdam") from error
        return name

    @field_validator("mixing")
    @classmethod
    def _is_of_known_strategies(cls, shares: dict[str, float]) -> dict[str, float]:
        """What is not named has no share."""
        return Mixing(**(dict.fromkeys(Mixing.model_fields, 0.0) | shares)).model_dump()

    @property
    def zone(self) -> ZoneInfo:
        """The time zone itself."""
        return ZoneInfo(self.timezone)
