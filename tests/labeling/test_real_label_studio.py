"""Against a Label Studio that runs: ``docs/label-studio.md`` says how to start one and which variables name it."""

import os
from collections.abc import Iterator

import httpx
import pytest

from labeling.annotation import Annotation
from labeling.label_studio import ExchangedAd, config_xml, from_tasks, to_tasks
from labeling.ml_backend import create_app, model_name
from models.example import Span
from models.runtime import Scorer
from models.taxonomy import packaged_taxonomy
from tests.serving.listening import listening

TAXONOMY = packaged_taxonomy()
URL, TOKEN = os.environ.get("SIGNAAL_TEST_LABEL_STUDIO_URL"), os.environ.get("SIGNAAL_TEST_LABEL_STUDIO_TOKEN")
AD = ExchangedAd(id="ad-1", text="👩\u200d👧 🚌🚌 You pay back the bus first.", language="en")
