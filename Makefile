# Saoma's commands. `make` alone explains them.

.DEFAULT_GOAL := help
.PHONY: help run test pytest lint format race simulate crash bench features clean

PYTHON := .venv/bin/python
# Three processes: the fastest on two cores, since tests wait for MariaDB and for processes of their own.
SAOMA_TEST_WORKERS ?= 3

# Tests and benchmarks start Python some hundred times; each would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE

help: ## Show this list
	@echo "Saoma: from a scanned code to a member, a draw and money in WeChat."
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "Settings: SAOMA_PORT (8000), SAOMA_SANDBOX_PORT (8001), SAOMA_DATA (./var) and SAOMA_PYTHON for run;"
	@echo "SAOMA_TEST_WORKERS ($(SAOMA_TEST_WORKERS)) for test. README.md has the rest."

run: ## Start the demo: web, scheduler and sandbox on SQLite; Ctrl-C stops it, the data stay in var/
	@bin/venv
	@exec $(PYTHON) bin/demo.py

test: ## Check everything: lint, types, import contracts, all tests (starts a private MariaDB)
	@bin/venv dev
	@bin/ensure-mariadb
	@$(MAKE) --no-print-directory -j 2 lint pytest

# Most tests wait for something now and then, so the linters run beside them.
pytest:
	@$(PYTHON) -m pytest -n $(SAOMA_TEST_WORKERS) --dist worksteal

lint: ## Lint, formatting, types and import contracts only
	@bin/venv dev
	@$(PYTHON) -m ruff check --output-format concise
	@$(PYTHON) -m ruff format --check
	@$(PYTHON) -m mypy
	@PYTHONPATH=. .venv/bin/lint-imports --no-logo

format: ## Format the code and mend what the linter can mend
	@bin/venv dev
	@$(PYTHON) -m ruff check --fix-only
	@$(PYTHON) -m ruff format

race: ## Race the guards of the database: up to 64 connections, 50 seeds (make test: 5 or 2)
	@bin/venv dev
	@bin/ensure-mariadb
	@SAOMA_RACE_SEEDS=50 $(PYTHON) -m pytest -m race

simulate: ## A ring of 500 with a leaked pack of 20,000 codes; a falsified day of 1,000 payouts
	@bin/venv dev
	@bin/ensure-mariadb
	@$(PYTHON) -m pytest -m simulate -s

crash: ## Kill 1,080 processes on the way of 5,000 payouts, then audit (make test: 40)
	@bin/venv dev
	@bin/ensure-mariadb
	@SAOMA_CRASH_KILLS=5 SAOMA_STORM_PAYOUTS=5000 SAOMA_STORM_KILLS=1080 $(PYTHON) -m pytest -q -s -m crash

bench: ## Measure against bare baselines; prints a table, writes bench/latest.json
	@bin/venv dev
	@bin/ensure-mariadb
	@$(PYTHON) -m bench

features: ## Write docs/features.md anew from docs/features.csv
	@bin/venv
	@$(PYTHON) bin/features.py

clean: ## Remove .venv and every cache; the data in var/ stay
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .schemathesis
	@rm -rf tests/contract/node/node_modules tests/contract/node/.install.lock
	@find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +
