import pytest

from serving.errors import BulkError, RecordError
from serving.records import Columns, ad_from
from serving.schemas import Limits

LIMITS = Limits(max_ads=64, max_characters=20, label_ids=())


def test_a_line_is_the_id_of_an_ad_without_one() -> None:
    for values in ({"text": "x"}, {"text": "x", "id": None}, {"text": "x", "id": ""}):
        assert ad_from(values, Columns(), 7, LIMITS).id == "7"


def test_a_reason_names_the_columns_of_the_file_and_repeats_no_text() -> None:
    columns = Columns(text="body", id="nr", language="lang")
    with pytest.raises(RecordError) as caught:
        ad_from({"nr": 1.5, "body": "geheimtekst" * 9, "lang": "geheimtekst"}, columns, 1, LIMITS)
    message = str(caught.value)
    assert [name for name in ("nr:", "body:", "lang:") if name in message] == ["nr:", "body:", "lang:"]
    assert "geheimtekst" not in message


def test_a_missing_column_is_named_with_those_that_there_are() -> None:
    with pytest.raises(
        BulkError, match=r"no column 'text'. Did you mean 'txt'\? Name one with --text-column; there are: id, txt."
    ):
        Columns().check(["id", "txt"], "file.csv")
    Columns().check(["text"], "file.csv")
