from models.scores import AdScore, EvidenceSpan, LabelScore, Language, Status
from serving.answers import LabelOut, ResultOut


def test_a_result_keeps_every_part_of_a_score() -> None:
    debt = LabelScore(0.9, Status.PRESENT, (EvidenceSpan(2, 5, "owe"),))
    limits = LabelScore(0.1, Status.ABSENT)
    score = AdScore(Language("nl", 0.8, True), "recruitment_post", 0.7, {"debt_or_fees": debt}, {"states_limits": limits})
    assert ResultOut.of("a1", score).model_dump(mode="json") == {
        "id": "a1",
        "language": {"code": "nl", "confidence": 0.8, "evaluated": True},
        "document_type": {"value": "recruitment_post", "probability": 0.7},
        "indicators": {
            "debt_or_fees": {"probability": 0.9, "status": "present", "evidence": [{"start": 2, "end": 5, "text": "owe"}]}
        },
        "counter_indicators": {"states_limits": {"probability": 0.1, "status": "absent", "evidence": []}},
    }


def test_a_status_is_written_as_its_word() -> None:
    assert LabelOut.of(LabelScore(0.4, Status.UNCERTAIN)).model_dump_json() == (
        '{"probability":0.4,"status":"uncertain","evidence":[]}'
    )
