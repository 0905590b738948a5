"""Against a Label Studio that runs: ``docs/label-studio.md`` says how to start one and which variables name it."""

import os

from labeling.label_studio import ExchangedAd
from models.taxonomy import packaged_taxonomy

TAXONOMY = packaged_taxonomy()
URL, TOKEN = os.environ.get("SIGNAAL_TEST_LABEL_STUDIO_URL"), os.environ.get("SIGNAAL_TEST_LABEL_STUDIO_TOKEN")
AD = ExchangedAd(id="ad-1", text="👩\u200d👧 🚌🚌 You pay back the bus first.", language="en")
