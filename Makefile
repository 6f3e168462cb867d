# What one does with a checkout. `make help` tells; nothing here is needed by an installed pynchy.
SHELL := /bin/sh
.SHELLFLAGS := -eu -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell for one in python3 python3.14 python3.13 python3.12 python3.11; do \
  "$$one" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$one" && break; \
  done; true)
BIN := .venv/bin
CHAOS := tests/process/test_kill_sweep.py tests/process/test_conversation_chaos.py \
  tests/process/test_ipc_watch.py tests/process/test_ipc_watch_kills.py tests/security/test_request_fuzz.py \
  tests/process/test_schedule_kills.py tests/process/test_host_job_kills.py \
  tests/process/test_delivery_kills.py tests/process/test_slack_delivery_kills.py \
  tests/process/test_slack_chaos.py tests/process/test_whatsapp_chaos.py tests/process/test_up_chaos.py
SOURCES := $(shell find pynchy_cli agent_runner -name '*.py')
LOCKED := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-header --quiet

# A checkout that was moved or copied has a .venv that points elsewhere: make it anew.
ifneq ($(shell cat .venv/.packages 2>/dev/null),$(CURDIR))
.PHONY: .venv/.packages
endif

.PHONY: help setup system demo up image test check lint fix bench chaos lock

help: ## Show this
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1 \t\2/p' Makefile | expand -t 16

setup: .venv/.compiled ## Make .venv, so that .venv/bin/pynchy works
	@:

.venv/.packages: requirements-dev.lock
	@test -n "$(PYTHON)" || { echo "Pynchy needs Python 3.11 or newer, as python3. Install it first."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  sh tests/system.sh venv; $(PYTHON) -c 'import venv, ensurepip'; }
	@head -n 1 $(BIN)/pip 2>/dev/null | grep -qF '$(CURDIR)/.venv/' && $(BIN)/python -c 'import pip' 2>/dev/null \
	  || $(PYTHON) -m venv --clear .venv
	@echo "Installing the locked packages into .venv (a minute, the first time) …"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps \
	  --retries 5 --requirement requirements-dev.lock
	@printf '%s' "$(CURDIR)" > $@

.venv/.checkout: .venv/.packages pyproject.toml
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-index --no-deps \
	  --no-build-isolation --editable .
	@touch $@

# Imports are twice as slow without bytecode, and some environments forbid writing it in passing.
.venv/.compiled: .venv/.checkout $(SOURCES)
	@$(BIN)/python -m compileall -q pynchy_cli agent_runner
	@touch $@

system:
	@sh tests/system.sh tests

demo: setup ## Watch two messages go through every stage and come back answered
	@sh tests/system.sh sandbox
	@$(BIN)/python -m pynchy_cli.demo

up: setup ## Run all stages in this terminal (home: PYNCHY_HOME, else ~/pynchy)
	@sh tests/system.sh sandbox
	@$(BIN)/pynchy init --yes >/dev/null
	@exec $(BIN)/pynchy up

image: setup ## Build the image of the docker runtime's sandboxes (needs Docker or Podman)
	@exec $(BIN)/pynchy image build $(ARGS)

test: setup system ## Run all tests but the long sweeps
	@mkdir -p .pytest_cache; code=0; \
	$(BIN)/python -m pytest -n 3 --dist worksteal -ra $(ARGS) </dev/null || code=$$?; \
	echo $$code > .pytest_cache/exit; exit $$code

check: lint test ## The gate: formatting, lint, types, layers, documents, tests

lint: setup
	@$(BIN)/ruff format --check --quiet . || { echo "Not formatted: make fix"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo > .venv/layers.txt || { cat .venv/layers.txt; exit 1; }
	@$(BIN)/python -m tests.docs --check

fix: setup ## Format, mend what can be mended, write the generated documents
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format --quiet .
	@$(BIN)/python -m tests.docs

bench: setup ## Measure: wake-ups, answers, start times, idle cost
	@sh tests/system.sh sandbox
	@$(BIN)/python -m tests.benchmarks

chaos: setup system ## Kill every stage at every point, and all else at random (long)
	@$(BIN)/python -m pytest -n 2 -rP -m 'chaos or not chaos' $(CHAOS) $(ARGS)

lock: ## Make the lock files anew from pyproject.toml (needs uv)
	@command -v uv >/dev/null || { echo "Install uv first: python3 -m pip install uv"; exit 1; }
	@$(LOCKED) --upgrade --output-file requirements.lock
	@$(LOCKED) --upgrade --extra dev --constraint requirements.lock --output-file requirements-dev.lock
