# What a clone needs: make run, make test.  Everything is installed into .venv, from pyproject.toml.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/installed ## Run the demo origin with an edge in front of it
	@exec $(BIN)/origin demo

check: $(VENV)/installed-dev ## Check style, types and imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# Real programs and the timing of the public suite want the machine for themselves; the other tests share it.
test: check ## Check, and run all tests
	$(BIN)/python -m pytest -m "real or conformance"
	$(BIN)/python -m pytest -m "not real and not conformance" -n auto

conformance: $(VENV)/installed-dev ## Run the public cache tests and write docs/conformance.md
	$(BIN)/python -m tests.conformance.run --markdown docs/conformance.md

bench: $(VENV)/installed-bench ## Measure beside nginx, Varnish and others (installs them from Debian as root)
	@benchmarks/install
	$(BIN)/python -m benchmarks --output .run/bench

bench-quick: $(VENV)/installed-bench ## The most telling cases, in under three minutes
	@benchmarks/install nginx varnishd wrk
	$(BIN)/python -m benchmarks --quick --peers nginx,varnish --output .run/bench

clean: ## Remove what was made here
	rm -rf $(VENV) .cache .run .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/created:
	@command -v $(PYTHON) >/dev/null || { echo "Foreland needs Python 3.11 or later; there is no $(PYTHON)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Foreland needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) -V). Try make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) has no ensurepip: install Debian's package python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/installed: pyproject.toml | $(VENV)/created
	$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(VENV)/created
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[dev]"
	@touch $@ $(VENV)/installed

$(VENV)/installed-bench: pyproject.toml | $(VENV)/created
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[bench]"
	@touch $@ $(VENV)/installed

.PHONY: help run check test conformance bench bench-quick clean
