"""The form of a key, and how it is compared."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.keys import secret
from serving.keys.secret import digest_of, digests_equal, new_key_id, new_token, read_token


def test_a_new_key_names_its_id_and_has_256_random_bits() -> None:
    key_id = new_key_id()
    first, second = new_token(key_id), new_token(key_id)
    assert re.fullmatch(rf"sgnl_{key_id}_[0-9a-f]{{64}}", first)
    assert first != second
    read = read_token(first)
    assert read is not None
    assert (read.key_id, read.digest) == (key_id, digest_of(first))


@settings(suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(st.text() | st.from_regex(r"sgnl_[0-9a-f]{10,14}_[0-9a-fA-F]{60,70}\n?", fullmatch=True))
def test_only_what_has_the_form_of_a_key_is_looked_up(text: str) -> None:
    is_key = re.match(r"sgnl_[0-9a-f]{12}_[0-9a-f]{64}\Z", text) is not None
    assert (read_token(text) is not None) == is_key


@pytest.mark.parametrize("kept", [None, digest_of("one"), digest_of("other")])
def test_a_comparison_is_always_made_and_always_in_constant_time(monkeypatch: pytest.MonkeyPatch, kept: str | None) -> None:
    compared: list[tuple[str, str]] = []
    real = secret.hmac.compare_digest

    def compare(one: str, other: str) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr(secret.hmac, "compare_digest", compare)
    assert digests_equal(kept, digest_of("one")) == (kept == digest_of("one"))
    assert [(len(one), len(other)) for one, other in compared] == [(64, 64)]


def test_no_digest_at_all_equals_nothing_not_even_its_stand_in() -> None:
    assert not digests_equal(None, "0" * 64)
