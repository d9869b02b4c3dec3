# The two commands: `make demo` and `make test`. Both create .venv with the pinned set first, where it is not there yet.
PYTHON ?= python3
VENV := .venv
PEERS := .venv-peers
FUZZ := .venv-fuzz
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-slow lint bench fuzz clean help

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.installed  ## circuit and network side by side, into results/demo/
	$(BIN)/neurosparse compare --out results/demo

test: $(VENV)/.installed-test lint  ## linters, types, layers, the tests, the wheel
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

test-slow: $(VENV)/.installed-test  ## the long tests
	$(BIN)/pytest -m slow

lint: $(VENV)/.installed-test  ## ruff, mypy, import-linter
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: $(VENV)/.installed $(PEERS)/.installed  ## every benchmark beside its peers
	NEUROSPARSE_PEERS_PYTHON=$(CURDIR)/$(PEERS)/bin/python $(BIN)/python benchmarks/run.py

fuzz: $(VENV)/.installed-test $(FUZZ)/.installed  ## coverage-guided fuzzing of what reads files, a minute each
	PYTHONPATH=$(FUZZ) $(BIN)/python tests/fuzz/run.py

clean:  ## remove the environment, results and caches
	rm -rf $(VENV) $(PEERS) $(FUZZ) results dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "neurosparse needs Python >= 3.11; name one: make demo PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing the pinned set into $(VENV) (a few minutes, once) ..."
	$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	@echo "Installing the test tools into $(VENV) ..."
	$(PIP_INSTALL) -e '.[test]'
	@touch $@

# The peers have pins of their own; nothing of ours goes into their environment.
$(PEERS)/.installed: benchmarks/peers.txt benchmarks/peers_spiking.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers.txt
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/peers_spiking.txt
	@touch $@

# A folder beside the environment rather than one of its own: the fuzzer needs what it fuzzes.
$(FUZZ)/.installed: | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --target $(FUZZ) atheris==3.0.0
	@touch $@
