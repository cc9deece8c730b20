# Every target sets up what it needs in .build/venv. Needed beforehand: Python 3.11+, make, a POSIX shell.
# Another Python: make PYTHON=python3.13 test
BIN := .build/venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help demo test test-full lint format typecheck bench bench-check docs golden dist release-template clean run-venv dev-venv

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile

demo: run-venv ## the whole story in one terminal: a fresh workspace, an embedded Redis, an order on its way
	@rm -rf .build/demo
	@$(BIN)/esb demo .build/demo

test: lint typecheck ## everything that must be green: format, rules, types, tests
	@$(BIN)/pytest -n 2 --dist loadgroup -m "not full"

test-full: lint typecheck ## the same with the long runs; the adapters also against a redis-server, where there is one
	@$(BIN)/pytest -n 2 --dist loadgroup
	@if server=$$(command -v redis-server); then \
	    ESB_REDIS_SERVER=$$server $(BIN)/pytest tests/conformance tests/server tests/wire; \
	fi

lint: dev-venv ## ruff: format and rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

format: dev-venv ## ruff: repair what can be repaired
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

typecheck: dev-venv ## mypy and pyright, both strict
	@$(BIN)/mypy
	@$(BIN)/pyright --pythonpath $(BIN)/python

bench: dev-venv ## speed beside FastStream, taskiq, arq, plain redis-py and the server's own limit, in one run
	@$(BIN)/python benchmarks/run.py

bench-check: dev-venv ## fail when a ratio of the benchmark is worse than its baseline and the noise allow
	@$(BIN)/python benchmarks/run.py --check

docs: dev-venv ## write the generated pages: the command line, the public names
	@$(BIN)/python docs/generate.py

golden: dev-venv ## write what every command prints into tests/cli/golden; look at the difference before committing it
	@ESB_GOLDEN=write $(BIN)/pytest -q tests/cli/test_golden.py tests/cli/test_golden_workspace.py

dist: dev-venv ## sdists and wheels of both distributions, in dist/
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation --outdir dist runtime
	@$(BIN)/python -m build --no-isolation --outdir dist .

release-template: dev-venv ## at a release: take today's template into the released history, then commit that file
	@$(BIN)/python -m esb_cli.template_history

clean: ## forget everything that was built
	rm -rf .build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

run-venv:
	@.ci/venv

dev-venv: run-venv
	@.ci/venv dev
