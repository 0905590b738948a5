"""What an answer says; the schema of every success. Errors are in ``problems.py``."""

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, Field, JsonValue

from models.scores import AdScore, LabelScore, ModelIdentity, Status
from models.taxonomy import Domain, Label, Taxonomy


class ModelOut(BaseModel):
    """Which model exactly gave the answer; enough to find it again."""

    name: str = Field(examples=["signaal"])
    version: str = Field(examples=["1"])
    bundle_digest: str = Field(description="SHA-256 of the bundle's manifest.")
    run_id: str | None = Field(description="MLflow run that trained it.")
    taxonomy_version: str = Field(examples=["1.0"])

    @classmethod
    def of(cls, identity: ModelIdentity) -> "ModelOut":
        return cls(
            name=identity.name,
            version=identity.version,
            bundle_digest=identity.bundle_digest,
            run_id=identity.run_id,
            taxonomy_version=identity.taxonomy_version,
        )


class ServedOut(BaseModel):
    """A model in service, and under which names."""

    aliases: list[str] = Field(description="Empty when it is retired.", examples=[["champion"]])
    model: ModelOut
    since: datetime = Field(description="When it was loaded.")
    retired: datetime | None = Field(description="When another took its last alias.")
    sunset: datetime | None = Field(description="When a retired model is let go; pin another before.")

    @classmethod
    def of(cls, model: ModelOut, aliases: list[str], since: float, retired: float | None, kept: float) -> "ServedOut":
        """Times in seconds since the epoch; ``kept``: seconds from ``retired`` to the sunset."""
        gone, sunset = (None, None) if retired is None else (retired, retired + kept)
        moment = {"since": since, "retired": gone, "sunset": sunset}
        times = {name: None if at is None else datetime.fromtimestamp(int(at), UTC) for name, at in moment.items()}
        return cls(aliases=aliases, model=model, **times)


class DifferenceOut(BaseModel):
    """How challenger and champion differ in one label, over all ads that both scored."""

    ads: int
    other_status: int
    newly_present: int
    no_longer_present: int
    mean_shift: float = Field(description="Mean absolute difference of the probabilities.")


class ShadowOut(BaseModel):
    """What shadow scoring has found since champion or challenger last changed."""

    share: float = Field(description="Share of the requests that the challenger reads, too.")
    ads: int = Field(description="Ads that both have scored.")
    left_out: int = Field(description="Ads that were drawn and not scored, because the challenger was busy or failed.")
    differences: dict[str, DifferenceOut] = Field(description="By indicator and counter-indicator.")


class ModelsAnswer(BaseModel):
    """The answer to GET /v1/models."""

    models: list[ServedOut]
    shadow: ShadowOut


class SpanOut(BaseModel):
    """``text[start:end]`` of the ad as it was sent; characters are Unicode code points, end exclusive."""

    start: int
    end: int
    text: str


class LabelOut(BaseModel):
    """What is said of one indicator. ``uncertain`` means that a person must look."""

    probability: float = Field(ge=0, le=1, description="Calibrated: of 100 texts at 0.8, some 80 show it.")
    status: Status
    evidence: list[SpanOut]

    @classmethod
    def of(cls, score: LabelScore) -> "LabelOut":
        spans = [SpanOut(start=span.start, end=span.end, text=span.text) for span in score.evidence]
        return cls(probability=score.probability, status=score.status, evidence=spans)


class LanguageOut(BaseModel):
    """The language of the text, and whether the model was evaluated on it; where it was not, trust scores less."""

    code: str = Field(description="ISO 639 code; 'und' when it cannot be told.", examples=["nl"])
    confidence: float
    evaluated: bool


class DocumentTypeOut(BaseModel):
    """What kind of text it is."""

    value: str = Field(examples=["recruitment_post"])
    probability: float


class ResultOut(BaseModel):
    """Everything said of one ad. An indicator is a reason for a trained person to look, never a verdict on anyone."""

    id: str
    language: LanguageOut
    document_type: DocumentTypeOut
    indicators: dict[str, LabelOut]
    counter_indicators: dict[str, LabelOut] = Field(description="Reported beside; they never clear anyone.")

    @classmethod
    def of(cls, ad_id: str, score: AdScore) -> "ResultOut":
        return cls(
            id=ad_id,
            language=LanguageOut(
                code=score.language.code, confidence=score.language.confidence, evaluated=score.language.evaluated
            ),
            document_type=DocumentTypeOut(value=score.document_type, probability=score.document_type_probability),
            indicators={label: LabelOut.of(one) for label, one in score.indicators.items()},
            counter_indicators={label: LabelOut.of(one) for label, one in score.counter_indicators.items()},
        )


class LineOut(ResultOut):
    """One line of a stream's or a file's results: what is said of the ad, its line in the input, and the model."""

    line: int
    model: ModelOut


class ScoreAnswer(BaseModel):
    """The answer to POST /v1/score."""

    model: ModelOut
    results: list[ResultOut]


class FeedbackAnswer(BaseModel):
    """The answer to POST /v1/feedback: it is stored for good, and under which numbers."""

    accepted: int = Field(description="How many items.", examples=[2])
    first: int = Field(description="Sequence number of the first item's record.", examples=[17])
    last: int = Field(description="Sequence number of the last item's record.", examples=[18])


class ThresholdsOut(BaseModel):
    """Below ``absent_below`` a label is absent, from ``present_from`` on present, between them uncertain."""

    absent_below: float
    present_from: float


class IndicatorOut(BaseModel):
    """A label with what a reviewer needs to decide it."""

    id: str
    domain: Domain
    name: str
    definition: str
    cues: list[str]
    hard_negatives: list[str] = Field(description="Look alike, and must not be labelled.")
    thresholds: ThresholdsOut


class DocumentTypeInfo(BaseModel):
    """A kind of text."""

    id: str
    name: str
    definition: str


class IndicatorsAnswer(BaseModel):
    """The answer to GET /v1/indicators: the taxonomy of the loaded model."""

    model: ModelOut
    indicators: list[IndicatorOut]
    counter_indicators: list[IndicatorOut]
    document_types: list[DocumentTypeInfo]

    @classmethod
    def of(cls, model: ModelOut, taxonomy: Taxonomy, thresholds: dict[str, tuple[float, float]]) -> "IndicatorsAnswer":
        def described(label: Label) -> IndicatorOut:
            low, high = thresholds[label.id]
            facts = label.model_dump(mode="json")
            return IndicatorOut(**facts, thresholds=ThresholdsOut(absent_below=low, present_from=high))

        return cls(
            model=model,
            indicators=[described(label) for label in taxonomy.indicators],
            counter_indicators=[described(label) for label in taxonomy.counter_indicators],
            document_types=[DocumentTypeInfo(**kind.model_dump()) for kind in taxonomy.document_types],
        )


class LimitsOut(BaseModel):
    """What one request may hold."""

    max_ads: int
    max_characters: int
    max_body_bytes: int


class ModelAnswer(BaseModel):
    """The answer to GET /v1/model."""

    model: ModelOut
    intended_use: str
    not_for: list[str]
    evaluated_languages: list[str]
    limits: LimitsOut
    metrics: dict[str, JsonValue] = Field(description="The bundle's metrics.json: figures on the held-out split.")
    card: str = Field(description="The model card, Markdown.")


class HealthAnswer(BaseModel):
    """The answer to GET /healthz; ``model`` is null until one is loaded."""

    status: Literal["ok", "ready"]
    model: ModelOut | None


class ReadyAnswer(HealthAnswer):
    """The answer to GET /readyz."""

    notes: list[str] = Field(
        description="What the settings ask for and is not so, although scoring works, such as a challenger that is not there."
    )
