"""Which language a text is in. The detector (py3langid) ships its model; nothing is fetched.

Chosen by measurement while the corpus was being written, so on a growing number of texts: lingua 99.7% right of 572, at 3.1 ms
a text and 930 MB of memory; fastText's lid.176 98.6% of 649 at 0.1 ms; py3langid 99.7% of 649 at 0.3 ms.
"""

from functools import cache
from typing import cast

from py3langid.langid import MODEL_FILE, LanguageIdentifier

UNKNOWN = "und"
MIN_CONFIDENCE = 0.5
ENOUGH = 250
"""Characters that are looked at. Of the corpus' 9,987 texts it is wrong on 50 with so many, on 50 with all, on 57 with 150."""


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def detect_language(text: str) -> tuple[str, float]:
    """ISO 639-1 code and the detector's confidence (0–1); ``und`` where there are no letters or the detector is unsure."""
    if not any(c.isalpha() for c in text[:ENOUGH]):
        return UNKNOWN, 0.0
    code, confidence = cast(tuple[str, float], _identifier().classify(text[:ENOUGH]))
    return (code, float(confidence)) if confidence >= MIN_CONFIDENCE and len(code) == 2 else (UNKNOWN, float(confidence))
