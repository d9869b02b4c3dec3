# The two commands: `make demo` and `make test`. Both create .venv with the pinned set first, where it is not there yet.
# With PYTHON=python3.12 they use .venv-3.12, with that interpreter.
PYTHON ?= python3
VERSION := $(if $(filter command environment,$(origin PYTHON)),$(shell $(PYTHON) -c 'import sys; print("-%d.%d" % sys.version_info[:2])'))
VENV := .venv$(VERSION)
PEERS := .venv-peers
FUZZ := .venv-fuzz
BIN := $(VENV)/bin
# without --compile, which takes a minute: Python compiles a module when it is first imported
PIP := -m pip install --quiet --no-compile --disable-pip-version-check
PIP_INSTALL := $(BIN)/python $(PIP) -c constraints.txt
LIGHT := $(VENV)-light
OLDEST := $(VENV)-oldest
NEWEST := $(VENV)-newest
LIGHT_MB := 400

.PHONY: demo test test-slow test-light test-oldest test-newest smoke smoke-circuits lint build docs docs-links bench bench-quick fuzz clean help

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.installed  ## circuit and network side by side, into results/demo/
	$(BIN)/neurosparse compare --out results/demo

test: $(VENV)/.installed-test lint  ## linters, types, layers, the tests, the wheel
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-slow: $(VENV)/.installed-test  ## the long tests
	$(BIN)/pytest -m slow

smoke: $(VENV)/.installed  ## each job once at a small scale, with the pinned set
	$(BIN)/python tests/smoke.py

test-light:  ## the light install: without PyTorch, Brian2 and numba, at most 400 MB
	$(PYTHON) -m venv $(LIGHT)
	$(LIGHT)/bin/python $(PIP) -c constraints.txt -r requirements-light.txt
	$(LIGHT)/bin/python $(PIP) --no-deps --force-reinstall .
	$(LIGHT)/bin/python tests/light.py
	@mb=$$(du -sm $(LIGHT) | cut -f1); echo "light install: $$mb MB"; test $$mb -le $(LIGHT_MB)

smoke-circuits: test-light  ## the jobs of circuits once, without PyTorch
	$(LIGHT)/bin/python $(PIP) -c constraints.txt brian2 numba pyarrow
	$(LIGHT)/bin/python tests/smoke.py --circuits

test-oldest:  ## each job once, with the oldest versions that pyproject.toml allows
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python $(PIP) -c constraints-oldest.txt .
	$(OLDEST)/bin/python tests/smoke.py

test-newest:  ## each job once, then the tests, with the newest versions that pip finds
	$(PYTHON) -m venv $(NEWEST)
	$(NEWEST)/bin/python $(PIP) --upgrade --upgrade-strategy eager '.[test]'
	$(NEWEST)/bin/python tests/smoke.py
	$(NEWEST)/bin/pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

build: $(VENV)/.installed-test  ## the wheel and the source archive, into dist/
	$(BIN)/python -m build --outdir dist

lint: $(VENV)/.installed-test  ## ruff, mypy, import-linter
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

docs: $(VENV)/.installed-docs  ## the site, into docs/_build/html
	$(BIN)/python -m sphinx -b html -W --keep-going -q docs docs/_build/html
	@echo "Site: docs/_build/html/index.html"

docs-links: $(VENV)/.installed-docs  ## whether the site's links to other sites lead somewhere
	$(BIN)/python -m sphinx -b linkcheck -q docs docs/_build/links

bench: $(VENV)/.installed $(PEERS)/.installed  ## every benchmark beside its peers
	NEUROSPARSE_PEERS_PYTHON=$(CURDIR)/$(PEERS)/bin/python $(BIN)/python benchmarks/run.py

bench-quick: $(VENV)/.installed  ## what needs no peers, 3 pairs each, at most 10 minutes
	$(BIN)/python benchmarks/run.py --quick

fuzz: $(VENV)/.installed-test $(FUZZ)/.installed  ## coverage-guided fuzzing of what reads files, a minute each
	PYTHONPATH=$(FUZZ) $(BIN)/python tests/fuzz/run.py

clean:  ## remove the environment, results and caches
	rm -rf .venv .venv-* results dist docs/_build docs/gallery docs/reference/api .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "neurosparse needs Python >= 3.11; name one: make demo PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing the pinned set into $(VENV): fetches some 2 GB (5 to 10 minutes, once) ..."
	$(filter-out --quiet,$(PIP_INSTALL)) -e .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	@echo "Installing the test tools into $(VENV) ..."
	$(PIP_INSTALL) -e '.[test]'
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	@echo "Installing the tools of the docs into $(VENV) ..."
	$(PIP_INSTALL) -e '.[docs]'
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
