"""The registered model as a function of Spark, with a real Spark and a real Java runtime."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import mlflow
import pandas as pd
import pytest

from models.runtime import Scorer
from tests.conftest import SmallRun

pytestmark = pytest.mark.slow
sql = pytest.importorskip("pyspark.sql", reason="Spark is not installed: pip install '.[spark]'")
if not shutil.which("java"):
    pytest.skip("Spark needs a Java runtime (17 or newer), and there is none.", allow_module_level=True)

TEXTS = [f"Ad {i}: je paspoort blijft op kantoor 🙂 en de bus kost {i}00 euro. " * (1 + i % 4) for i in range(12)]
LANGUAGES = ["nl" if i % 3 else None for i in range(12)]


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    # Spark's workers are the first python3 of PATH unless told; they need this environment.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    options = {
        "spark.ui.enabled": "false",
        "spark.driver.memory": "1g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "5",
    }
    builder = sql.SparkSession.builder.master("local[1]")
    for name, value in options.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    yield session
    session.stop()


@pytest.mark.parametrize("columns", [["text"], ["text", "language"]])
def test_spark_gives_the_same_scores_as_the_scorer(spark: Any, small_run: SmallRun, scorer: Scorer, columns: list[str]) -> None:
    mlflow.set_tracking_uri(small_run.settings.mlflow_tracking_uri)
    mlflow.set_registry_uri(small_run.settings.mlflow_tracking_uri)
    place = f"models:/{small_run.settings.registered_model}/{small_run.result.registered_version}"
    frame = pd.DataFrame({"id": range(len(TEXTS)), "text": TEXTS, "language": LANGUAGES}, dtype="object")
    ads = spark.createDataFrame([*frame.itertuples(index=False, name=None)], "id long, text string, language string")

    read = mlflow.pyfunc.spark_udf(spark, place, env_manager="local", extra_env={"SIGNAAL_THREADS": "1"})
    rows = ads.repartition(3).select("id", read(sql.functions.struct(*columns)).alias("score")).collect()

    assert sorted(row.id for row in rows) == [*range(len(TEXTS))]
    hints = LANGUAGES if "language" in columns else None
    expected = scorer.score(TEXTS, hints)
    for row in rows:
        found, one = row.score.asDict(), expected[row.id]
        assert found["language"] == one.language.code
        assert found["document_type"] == one.document_type
        labels = one.indicators | one.counter_indicators
        assert {label: found[label] for label in labels} == pytest.approx({k: v.probability for k, v in labels.items()}, abs=1e-4)
        assert {label: found[f"{label}_status"] for label in labels} == {k: v.status.value for k, v in labels.items()}
        spans = {label: [[span.start, span.end] for span in of.evidence] for label, of in labels.items() if of.evidence}
        assert json.loads(found["evidence"]) == spans
