"""How a model is made: data, trainer, metrics, evaluation, baselines, report, MLflow run."""
