# Everything here does its own set-up; Python 3.11 to 3.13 and make are all it needs.
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo ui destroy-demo test test-fast check format docs provider-schema bench clean

BIN := .venv/bin
PYTEST_ARGS ?=
export MLSTACKS_HOME ?= $(CURDIR)/.demo

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup:  ## Make .venv with the command .venv/bin/mlstacks-dagster
	@scripts/setup sandbox

setup-dev:
	@scripts/setup sandbox dev

demo: setup  ## Start the sandbox and deploy examples/aws-quickstart into it
	@$(BIN)/mlstacks-dagster demo

ui: setup  ## Dagster's UI on 127.0.0.1, with the demo's stack
	@$(BIN)/mlstacks-dagster ui --sandbox

destroy-demo: setup  ## Destroy the demo's stack and stop the sandbox
	@$(BIN)/mlstacks-dagster destroy quickstart --sandbox -y
	@$(BIN)/mlstacks-dagster sandbox stop

test: setup-dev  ## All tests; three workers on two cores, the longest tests first
	$(BIN)/python -m pytest -n 3 --dist worksteal $(PYTEST_ARGS)

test-fast: setup-dev  ## The tests that start no Terraform, server or browser
	$(BIN)/python -m pytest -n 2 tests/unit tests/contract $(PYTEST_ARGS)

check: setup-dev  ## Lint, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup-dev  ## Write docs/catalog.md and schemas/ anew
	$(BIN)/mlstacks-dagster catalog --write .

provider-schema: setup-dev  ## Write the schemas that the modules are judged by anew (70 MB download)
	$(BIN)/python scripts/provider_schema.py

bench: setup-dev  ## The benchmarks of docs/benchmarks.md
	$(BIN)/python benchmarks/deploy.py
	$(BIN)/python benchmarks/load.py
	$(BIN)/python benchmarks/sweep.py
	$(BIN)/python benchmarks/steps.py

clean:  ## Stop the sandbox, remove .venv and the demo's folder
	-@[ ! -x $(BIN)/mlstacks-dagster ] || $(BIN)/mlstacks-dagster sandbox stop
	rm -rf .venv .demo dist
