# On a new machine, `make demo` and `make test` are enough. `make help` lists all targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup
DEMO_OUT ?= demo-run
PYTEST_ARGS ?=
SERVE_ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo serve test soak check coverage smoke fmt results docs docs-links lock clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Create .venv with the versions in requirements.lock.

# Runs again only when the dependencies may have changed.
# --no-compile: Python compiles what it imports; pip would spend a minute on compiling all of torch and scipy.
$(STAMP): pyproject.toml requirements.lock
	@command -v $(PYTHON) >/dev/null || { echo "emofuse needs Python 3.11 or newer; $(PYTHON) was not found."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "emofuse needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1)."; \
		echo "Choose another one: make setup PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c requirements.lock -e '.[dev]'
	@touch $@

demo: setup ## Run everything on a synthetic corpus: features, networks, fusion, report, prediction.
	$(BIN)/emofuse demo --out $(DEMO_OUT)

serve: setup ## Start the local service at http://127.0.0.1:8000; SERVE_ARGS='--purpose "a study"'.
	$(BIN)/emofuse serve $(SERVE_ARGS)

test: check ## Run all checks and tests.
	$(BIN)/pytest -n 2 $(PYTEST_ARGS)

# Kills, interrupts and endurance, in 25 minutes on two cores that have nothing else to do. Not part of make test.
soak: setup ## Kill, interrupt and resume everything at random points; read for an hour. By hand.
	$(BIN)/pytest tests/soak -m soak -s -v $(PYTEST_ARGS)

check: setup ## Check style, types, import contracts, CI workflows and the Dockerfile.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 --no-warn-unreachable --cache-dir .mypy_cache/windows src
	$(BIN)/lint-imports
	$(BIN)/actionlint -shellcheck= .github/workflows/*.yml
	$(BIN)/hadolint Dockerfile

# The table is printed even if tests fail. Tests with a time limit may fail, since everything is slower.
coverage: setup ## Run the tests and list the lines and branches that none of them reaches.
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 2 $(PYTEST_ARGS); status=$$?; \
		$(BIN)/coverage combine --quiet && $(BIN)/coverage report && exit $$status

smoke: setup ## Try the plain wheel with each Python found (3.11 to 3.13), and the Dockerfile's commands.
	$(BIN)/python tests/smoke.py
	$(BIN)/python -m tests.container

fmt: setup ## Format the code and sort the imports.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# RAVDESS and FER2013 are the folders with the data. Finished steps are not run again.
results: setup ## Reproduce every figure in docs/results.md: RAVDESS=DIR FER2013=DIR. Takes hours.
	$(BIN)/python benchmarks/results.py --ravdess "$(RAVDESS)" --fer2013 "$(FER2013)"

# Warnings are errors. Pages of commands, recipes and routes are made of the program itself.
docs: setup ## Make the documentation site in build/docs, and check the links in it.
	$(BIN)/sphinx-build -W --keep-going -q -d build/docs-trees docs build/docs
	@echo "Open build/docs/index.html in a browser."

# Needs the network. A host that is slow, or lets no program in, fails without being wrong.
docs-links: setup ## Follow every link from the documentation to other hosts. By hand.
	$(BIN)/sphinx-build -W --keep-going -q -b linkcheck -d build/docs-trees docs build/docs-links

# The local part of a version (+cpu of torch) names one build, which is not available everywhere.
lock: ## Update requirements.lock to the newest versions that pyproject.toml allows.
	$(PYTHON) -m venv --clear $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet --disable-pip-version-check '.[blendshapes,dev]'
	{ echo '# Versions that the tests pass with, for pip install -c. Written by: make lock'; \
	  $(VENV)-lock/bin/python -m pip freeze --exclude emofuse | sed 's/+[a-z0-9.]*$$//'; } > requirements.lock.new
	mv requirements.lock.new requirements.lock
	rm -rf $(VENV)-lock

clean: ## Remove .venv, caches and the output of the demo.
	rm -rf docs/commands docs/http-api docs/recipes
	rm -rf $(VENV) $(VENV)-lock $(DEMO_OUT) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
