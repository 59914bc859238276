# One entry for people and for CI. Every target sets up what it needs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
FOLDER ?=
STOCK_CLIENTS ?= $(HOME)/.cache/candado-stock-clients
# A lock names all that is needed. Resolving it anew would ask the index for what it has today, and a newer release there
# of a package that another one wants with an extra ends the install; so nothing is resolved, and `pip check` looks for gaps.
PIP     = $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check
LOCKED  = $(PIP) install --require-hashes --no-deps -r

.PHONY: help install dev demo test test-long interop check fmt docs bench bench-server bench-scale bench-audit lock clean

help:           ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.runtime: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(LOCKED) requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@$(PIP) check || $(BIN)/python -m pip check
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@$(LOCKED) requirements-dev.lock
	@$(PIP) check || $(BIN)/python -m pip check
	@touch $@

install: $(VENV)/.runtime  ## create .venv with candado and candado-server

dev: $(VENV)/.dev          ## add the tools that tests and checks need

demo: install              ## the whole story on real files: make demo FOLDER=~/Documents
	@$(BIN)/candado demo $(if $(FOLDER),"$(FOLDER)")

test: dev                  ## every test, with branch coverage
	@tools/run-tests

# This one wants libraries of other releases than we do.
$(VENV)/.fuzz: private BIN := $(VENV)/fuzz/bin
$(VENV)/.fuzz: requirements-fuzz.lock $(VENV)/.dev
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)/fuzz
	@$(LOCKED) requirements-fuzz.lock
	@$(PIP) check || $(BIN)/python -m pip check
	@touch $@

test-long: $(VENV)/.fuzz   ## the property tests and machines, ten times longer; the server on PostgreSQL and S3; the whole API; the commands of the documents
	@HYPOTHESIS_PROFILE=long $(BIN)/pytest -n 2 --timeout 3000 tests/properties tests/unit/server/test_server_session_machine.py tests/unit/server/test_server_plain_machine.py
	@CANDADO_TEST_DATABASE=postgresql $(BIN)/pytest -n 2 tests/unit/server
	@CANDADO_TEST_OBJECTS=s3 $(BIN)/pytest -n 2 tests/unit/server
	@CANDADO_TEST_LONG=1 $(BIN)/pytest -n 2 --timeout 300 tests/long
	@CANDADO_TEST_CEPH=1 $(BIN)/pytest -n 0 tests/contracts/test_objects.py
	@CANDADO_FUZZ="$(VENV)/fuzz/bin/st" $(BIN)/pytest -n 2 --timeout 600 tests/fuzz

# One of these packages puts a library of its own in the place of urllib3, so they have an environment to themselves.
$(VENV)/.interop: private BIN := $(VENV)/interop/bin
$(VENV)/.interop: requirements-interop.lock $(VENV)/.dev
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)/interop
	@$(LOCKED) requirements-interop.lock
	@$(PIP) check || $(BIN)/python -m pip check
	@touch $@

# Graphical programs of other people on a loaded machine: what failed is tried once more, and that is said. What is named in
# tests/interop/must-run.txt has to run, whatever comes of it.
INTEROP = CANDADO_NO_SKIPS=1 CANDADO_INTEROP="$(STOCK_CLIENTS)" $(BIN)/pytest -n 2 --timeout 600 tests/interop
interop: $(VENV)/.interop  ## stock desktop clients, litmus, rclone, a browser and others against a real server (root on Debian)
	@tools/stock-clients "$(STOCK_CLIENTS)"
	@$(INTEROP) || { echo "once more, those that failed:"; $(INTEROP) --last-failed --last-failed-no-failures none; }

check: dev                 ## format, lint, types, layers, spelling, docs
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports --no-cache
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/pyright --warnings
	@$(BIN)/codespell
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir $(VENV)/site

fmt: dev                   ## format and mend what can be mended
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format --quiet .

docs: dev                  ## build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: dev                 ## ratios to peers, measured in one run
	@$(LOCKED) requirements-bench.lock
	@$(BIN)/python benchmarks/run.py

bench-server: dev          ## the server beside other WebDAV servers, in one run (9 minutes; wants nginx and apache2)
	@$(LOCKED) requirements-bench.lock
	@$(BIN)/python benchmarks/server.py

bench-scale: dev           ## the same requests in a small and a large account, row sizes (6 minutes; wants postgresql)
	@$(BIN)/python benchmarks/scale.py

bench-audit: dev           ## what the audit log costs: events a second, requests with and without (4 minutes; wants postgresql)
	@$(BIN)/python benchmarks/audit.py

lock:                      ## resolve the dependencies anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra build -o requirements.lock pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -c requirements.lock --group pyproject.toml:dev -o requirements-dev.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -c requirements-dev.lock --group pyproject.toml:bench -o requirements-bench.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --group pyproject.toml:interop -o requirements-interop.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --group pyproject.toml:fuzz -o requirements-fuzz.lock

clean:                     ## remove what was built
	rm -rf $(VENV) site .coverage* .mypy_cache .ruff_cache .pytest_cache
