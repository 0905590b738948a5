# Signaal: every command does its own set-up. `make help` lists them.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

.DEFAULT_GOAL := help
.NOTPARALLEL:  # several commands install into one environment
.PHONY: help serve test test-all lint format corpus train evaluate label mlflow bench-serving bench-scoring bench-overload bench-sizing bench-labeling clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

$(VENV)/created:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	@touch $@

# Two steps of installation: what serving needs, and the rest.
$(VENV)/serving: $(VENV)/created pyproject.toml constraints.txt
	@echo "Installing what serving needs (minutes the first time) …"
	$(PIP) --editable .
	@touch $@

$(VENV)/everything: $(VENV)/serving
	@echo "Installing what training and the tests need …"
	$(PIP) --editable '.[train,label,tracing,dev]'
	@touch $@

$(VENV)/labelling: $(VENV)/serving
	$(PIP) --editable '.[label]'
	@touch $@

serve: $(VENV)/serving  ## start the scoring API and the playground on http://127.0.0.1:8080
	$(BIN)/signaal-serve api

test: $(VENV)/everything  ## the tests (fast ones), in two processes
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-all: $(VENV)/everything  ## all tests, slow ones too
	$(BIN)/python -m pytest -m ''

lint: $(VENV)/everything  ## ruff, mypy (strict), import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/everything  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

corpus: $(VENV)/everything  ## check the authored corpus and count its labels
	$(BIN)/signaal-label corpus check

data/corpus.jsonl: $(wildcard labeling/corpus/*) $(wildcard labeling/*.py) | $(VENV)/labelling
	$(BIN)/signaal-label corpus export $@

train: $(VENV)/everything data/corpus.jsonl  ## retrain the released model on the corpus (a quarter of an hour on 2 cores), evaluate, register
	$(BIN)/signaal-train run training/retraining.yaml

evaluate: $(VENV)/everything data/corpus.jsonl  ## report of the released model on the corpus' test split
	$(BIN)/signaal-train evaluate released data/corpus.jsonl

label: $(VENV)/labelling  ## start the pages for reviewers on http://127.0.0.1:8090; the first time it makes an admin and some ads
	$(BIN)/signaal-label first-steps
	$(BIN)/signaal-label web

mlflow: $(VENV)/serving  ## MLflow's pages: runs, plots, registered models
	$(BIN)/mlflow ui --backend-store-uri sqlite:///mlflow.db --port 5000

bench-serving: $(VENV)/everything  ## speed over HTTP, beside the raw graph, transformers.pipeline and MLflow's server, same weights and texts
	$(BIN)/python -m tests.bench.service

bench-overload: $(VENV)/everything  ## ten minutes of twice the load that the service can take: statuses, answers, memory
	$(BIN)/python -m tests.bench.overload

bench-scoring: $(VENV)/everything  ## speed of the scorer alone, fp32 and int8, beside plain torch
	$(BIN)/python -m tests.bench.scoring

bench-sizing: $(VENV)/everything  ## ads a second of a core: workers and threads 1 and 2, fp32 and int8, short and long ads
	$(BIN)/python -m tests.bench.sizing

bench-labeling: $(VENV)/everything  ## speed of the labelling room with 100,000 ads: import, next ad, save, counts
	$(BIN)/python -m tests.bench.labeling

clean:  ## remove the environment and what tools left; keeps models, runs and data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
