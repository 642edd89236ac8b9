# Everything runs in an environment of its own, .venv, made by the first target that needs it from plain Python and pip.

PYTHON ?= python3
VENV ?= .venv

BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt --editable
# A folder of its own, so that the demo starts over without touching anybody's run.
DEMO := runs/demo
RUN_STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
TYPES := $(VENV)/types.txt

# A process per core, but no more than memory bears: each imports torch for itself. `make test WORKERS=0` is one process.
WORKERS ?= auto
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --maxprocesses 8 --dist worksteal

# What runs is what was installed, never something else on the caller's path.
unexport PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo check test docs format slow environment clean

help: ## Show the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /make \1\t/' | expand -t 16

demo: $(RUN_STAMP) ## Train on the bundled dataset, attack, perturb; say where table and plots are
	$(BIN)/microbench train --out $(DEMO) --force
	$(BIN)/microbench attack --runs $(DEMO) --eps 0.1
	$(BIN)/microbench perturb --runs $(DEMO)
	@echo
	@echo "policy:   $(DEMO)/latest/policy.safetensors"
	@echo "episodes: $(DEMO)/latest/results.csv"
	@echo "page:     $(DEMO)/latest/report/index.html"
	@echo "table:    $(DEMO)/latest/report/table.md"
	@echo "plots:    $(DEMO)/latest/report/degradation_eps.png, $(DEMO)/latest/report/degradation_factor.png"

check: $(DEV_STAMP) ## Lint, format, types, layers and tests: all that CI runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	@echo "$(BIN)/mypy beside the tests; what it says stands below theirs"
	@$(BIN)/mypy >$(TYPES) 2>&1 & types=$$!; $(PYTEST) -m "not slow"; tests=$$?; \
		wait $$types; types=$$?; cat $(TYPES); exit $$((tests || types))

test: $(DEV_STAMP) ## Only the tests
	$(PYTEST) -m "not slow"

docs: $(DEV_STAMP) ## The documentation as a site that needs no network: site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "site: site/index.html"

slow: $(DEV_STAMP) ## The tests that take minutes
	$(PYTEST) -m slow

environment: $(DEV_STAMP) ## The environment of the checks, and nothing more

format: $(DEV_STAMP) ## Mend what can be mended automatically
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove the environment, the caches and build outputs; runs/ stays
	rm -rf $(VENV) build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "microbench needs Python 3.11 or newer: make PYTHON=python3.11 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV); the first time takes minutes"
	$(INSTALL) .
	@touch $@

$(DEV_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV); the first time takes minutes"
	$(INSTALL) ".[dev,docs]"
	@touch $@ $(RUN_STAMP)
