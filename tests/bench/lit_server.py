"""The released model behind LitServe, as its documentation says to: for comparison in ``make bench-serving``.

python -m tests.bench.lit_server PORT
"""

import dataclasses
import sys
from typing import Any

import litserve

from models.bundle import RELEASED, open_bundle
from models.runtime import Scorer
from models.scores import AdScore
from models.settings import ModelSettings


class ScoringAPI(litserve.LitAPI):  # type: ignore[misc]
    """One ad a request; requests that wait are scored together."""

    def setup(self, device: str) -> None:
        self.scorer = Scorer.of_bundle(open_bundle(RELEASED), ModelSettings())

    def decode_request(self, request: dict[str, Any]) -> str:
        return str(request["text"])

    def batch(self, inputs: list[str]) -> list[str]:
        return inputs

    def predict(self, texts: list[str]) -> list[AdScore]:
        return self.scorer.score(texts)

    def unbatch(self, output: list[AdScore]) -> list[AdScore]:
        return output

    def encode_response(self, score: AdScore) -> dict[str, Any]:
        return dataclasses.asdict(score)


if __name__ == "__main__":
    api = ScoringAPI(max_batch_size=32, batch_timeout=0.01)
    litserve.LitServer(api, accelerator="cpu", timeout=300).run(port=int(sys.argv[1]), generate_client_file=False)
