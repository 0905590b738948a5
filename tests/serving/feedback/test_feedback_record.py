from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import RecordError
from serving.feedback.record import Record, RequestPart
from serving.feedback.schemas import FeedbackItem

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
items = st.builds(
    lambda ad_id, labels, text, language, moment: FeedbackItem.model_validate(
        {"id": ad_id, "labels": labels, "text": f"a{text}", "language": language, "found_at": moment.isoformat()}
    ),
    words,
    st.dictionaries(words, st.sampled_from(["present", "absent", "unsure"]), min_size=1, max_size=4),
    words,
    st.none() | st.just("nl"),
    st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC)),
)
records = st.builds(
    lambda seq, item, key: Record(
        outbox="0" * 12,
        seq=seq,
        synced=seq - 1,
        received_at=datetime.now(UTC),
        request=RequestPart(id="k" * 32, body="b" * 32, part=1, parts=1),
        key=key,
        taxonomy="1.0",
        item=item,
    ),
    st.integers(1, 2**53),
    items,
    st.none() | words,
)


@given(records)
def test_a_line_gives_back_the_record_and_is_one_line(record: Record) -> None:
    line = record.line()
    assert Record.of_line(line) == record
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1


@given(records, st.data())
def test_a_line_that_was_changed_anywhere_is_no_record(record: Record, data: st.DataObject) -> None:
    line = bytearray(record.line())
    line[data.draw(st.integers(0, len(line) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(RecordError):
        Record.of_line(bytes(line))
