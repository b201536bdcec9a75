# Two commands do everything on a bare machine: `make demo` and `make test`. `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup
DEMO_OUT ?= demo-run
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test check coverage smoke fmt results lock clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv with the versions of requirements.lock.

# Made again only when what is installed may have changed.
# --no-compile: Python compiles what is imported; pip would compile all of torch and scipy, for a minute.
$(STAMP): pyproject.toml requirements.lock
	@command -v $(PYTHON) >/dev/null || { echo "emofuse needs Python 3.11 or newer, and there is no $(PYTHON)."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "emofuse needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V 2>&1)."; \
		echo "Name another one: make setup PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c requirements.lock -e '.[dev]'
	@touch $@

demo: setup ## The whole way on a synthetic corpus: features, networks, fusion, report, prediction.
	$(BIN)/emofuse demo --out $(DEMO_OUT)

test: check ## Everything that must hold: check, then the tests.
	$(BIN)/pytest -n 2 $(PYTEST_ARGS)

check: setup ## Style, types, import contracts and CI workflows.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/actionlint -shellcheck= .github/workflows/*.yml

# The table is printed when tests fail, too. Everything is slower here: a test with a time limit may fail.
coverage: setup ## Run the tests, and print the lines and branches that none of them reaches.
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 2 $(PYTEST_ARGS); status=$$?; \
		$(BIN)/coverage combine --quiet && $(BIN)/coverage report && exit $$status

smoke: setup ## Try the plain wheel with every Python from 3.11 to 3.13 that is found.
	$(BIN)/python tests/smoke.py

fmt: setup ## Format and sort.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# RAVDESS and FER2013 name the folders with the data. Steps that are finished are not run again.
results: setup ## Make every figure of docs/results.md anew: RAVDESS=DIR FER2013=DIR. Hours.
	$(BIN)/python benchmarks/results.py --ravdess "$(RAVDESS)" --fer2013 "$(FER2013)"

# The local part of a version (torch's +cpu) names one build of it and cannot be had everywhere.
lock: ## Write requirements.lock anew from the newest versions that pyproject.toml allows.
	$(PYTHON) -m venv --clear $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet --disable-pip-version-check '.[blendshapes,dev]'
	{ echo '# Versions that the tests pass with, for pip install -c. Written by: make lock'; \
	  $(VENV)-lock/bin/python -m pip freeze --exclude emofuse | sed 's/+[a-z0-9.]*$$//'; } > requirements.lock.new
	mv requirements.lock.new requirements.lock
	rm -rf $(VENV)-lock

clean: ## Remove .venv, caches and the demo's output.
	rm -rf $(VENV) $(VENV)-lock $(DEMO_OUT) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
