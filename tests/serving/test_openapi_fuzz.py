"""schemathesis reads ``/openapi.json`` and asks a real server everything that it allows, and much that it does not.

It checks that nothing is a 500, that every answer is of a status, a media type, headers and a schema that the document has, that
what the document allows is accepted (by every operation once at least), and what it forbids is refused. A second server wants
keys.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import negative_data_rejection, positive_data_acceptance
from schemathesis.config import SchemathesisConfig

from models.taxonomy import packaged_taxonomy
from serving.keys.store import KeyStore, Scope
from tests.serving.listening import Server, serving_process

NDJSON = "application/x-ndjson"
TAXONOMY = packaged_taxonomy()

BEYOND_SCHEMAS = {
    # No schema knows what is blank, nor that ids differ.
    "/v1/score": [positive_data_acceptance],
    # Beside that, a bad line is answered in its place, and the stream goes on.
    "/v1/score/stream": [positive_data_acceptance, negative_data_rejection],
    # The same; and whose reviewer's name looks like an address of theirs, and where spans lie.
    "/v1/feedback": [positive_data_acceptance],
}


@schemathesis.serializer(NDJSON)
def as_line(_: Any, value: Any) -> bytes:
    """One ad is a stream of one line."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


@schemathesis.deserializer(NDJSON)
def first_line(_: Any, response: Any) -> Any:
    """The document has the schema of a line. A stream without a line has nothing that could be wrong."""
    lines = response.content.splitlines()
    return json.loads(lines[0]) if lines else {"line": 1, "problem": {"type": "-", "title": "-", "status": 0, "detail": "-"}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, bundle_folder: Path) -> Iterator[Server]:
    with serving_process(bundle_folder, tmp_path_factory.mktemp("fuzz") / "log", body_idle_seconds=5) as server:
        yield server
        assert_nothing_unforeseen(server)


@dataclass(frozen=True)
class Guarded:
    """A server that wants keys, and one that is good for everything."""

    server: Server
    key: str


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, bundle_folder: Path) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("fuzz-keys")
    database = f"sqlite:///{folder}/keys.db"
    store = KeyStore(database)
    _, key = store.create("schemathesis", list(Scope))
    store.close()
    wanted = {"auth": "keys", "database_url": database, "feedback_dir": folder / "feedback"}
    with serving_process(bundle_folder, folder / "log", body_idle_seconds=5, **wanted) as server:
        yield Guarded(server, key)
        assert_nothing_unforeseen(server)


def assert_nothing_unforeseen(server: Server) -> None:
    log = server.log.read_text()
    assert "unforeseen" not in log
    assert "Traceback" not in log


def with_known_names(case: schemathesis.Case) -> schemathesis.Case:
    """The case with labels, models and document types that are in service, which no schema says; and without what the server is
    set to refuse."""
    body = case.body if isinstance(case.body, dict) else {}
    for part in (body, case.query or {}):
        if part.get("model") is not None:
            part["model"] = "champion"
    if body.get("indicators"):
        body["indicators"] = list(TAXONOMY.label_ids[: len(body["indicators"])])
    if (case.query or {}).get("indicators") is not None:
        case.query["indicators"] = TAXONOMY.label_ids[0]
    for item in body.get("items", []):
        item["labels"] = dict(zip(TAXONOMY.label_ids, item["labels"].values(), strict=False))
        if item.get("document_type") is not None:
            item["document_type"] = TAXONOMY.document_type_ids[0]
        for refused in ("text", "spans", "note"):
            item.pop(refused, None)
    return case


Check = Callable[[schemathesis.Case, list[Any]], int]
"""Sends a case, checks the answer, returns its status."""


def explore(server: Server, mode: GenerationMode, examples: int, number: int, check: Check) -> dict[str, set[int]]:
    """Send so many requests to every operation, and check every answer; returns the statuses that each has given."""
    config = SchemathesisConfig.from_dict({"seed": number})
    contract = schemathesis.openapi.from_url(server.url + "/openapi.json", config=config)
    seen: dict[str, set[int]] = {}

    def send(case: schemathesis.Case, excluded: list[Any], statuses: set[int]) -> None:
        statuses.add(check(case, excluded))

    for found in contract.get_all_operations():
        operation = found.ok()
        if mode is GenerationMode.NEGATIVE and "requestBody" not in operation.definition.raw:
            continue  # all that it takes is a header that may be any string: there is nothing to get wrong
        cases, excluded = operation.as_strategy(generation_mode=mode), BEYOND_SCHEMAS.get(operation.path, [])
        if mode is GenerationMode.POSITIVE:
            cases = cases.map(with_known_names)
        statuses = seen[operation.label] = set()
        limits = settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        seed(number)(limits(given(case=cases, excluded=st.just(excluded), statuses=st.just(statuses))(send)))()
    return seen


def assert_each_was_served(seen: dict[str, set[int]], mode: GenerationMode) -> None:
    """What the document allows was not only refused, of any operation."""
    if mode is GenerationMode.POSITIVE:
        assert [operation for operation, statuses in seen.items() if not statuses & {200, 202}] == [], seen


def keeps_to_the_contract(case: schemathesis.Case, excluded: list[Any]) -> int:
    return case.call_and_validate(timeout=30, excluded_checks=excluded).status_code


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_the_service_keeps_to_its_contract(server: Server, mode: GenerationMode) -> None:
    assert_each_was_served(explore(server, mode, 40, 20261128, keeps_to_the_contract), mode)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_with_a_key_it_keeps_to_its_contract_too(guarded: Guarded, mode: GenerationMode) -> None:
    def with_key(case: schemathesis.Case, excluded: list[Any]) -> int:
        bearer = {"Authorization": f"Bearer {guarded.key}"}
        return case.call_and_validate(timeout=30, headers=bearer, excluded_checks=excluded).status_code

    assert_each_was_served(explore(guarded.server, mode, 20, 20261129, with_key), mode)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_without_a_key_all_that_wants_one_says_401_whatever_is_sent(guarded: Guarded, mode: GenerationMode) -> None:
    def without_key(case: schemathesis.Case, excluded: list[Any]) -> int:
        status = case.call(timeout=30).status_code
        assert (status == 401) == ("security" in case.operation.definition.raw), status
        return status

    explore(guarded.server, mode, 20, 20261130, without_key)


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_the_service_keeps_to_its_contract_for_long(server: Server, mode: GenerationMode) -> None:
    assert_each_was_served(explore(server, mode, 400, 1, keeps_to_the_contract), mode)
