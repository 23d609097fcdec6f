# What a newcomer types. Each target is a short script under scripts/ that can also be run alone.
#
#   PYTHON   the interpreter that the virtual environment is made from   (python3)
#   VENV     where the virtual environment is                            (.venv)
#   PORT     where `make run` serves                                     (8000)

PYTHON ?= python3
VENV ?= .venv
PORT ?= 8000
export PYTHON VENV
# With PORT in its environment the server would listen on every address.
unexport PORT

.DEFAULT_GOAL := help
.PHONY: help run test lint cover docs bench clean

help: ## say what can be made
	@sed -n 's/^\([a-z]*\): ## /make \1\t/p' $(MAKEFILE_LIST)

run: ## install into a virtual environment and serve the json-head example on port 8000
	@scripts/run $(PORT)

test: ## install what the tests need and run every check
	@scripts/test

lint: ## ruff, mypy, pyright and the layers contract only
	@scripts/setup build lint test apps hosts
	@scripts/lint

cover: ## measure which lines and branches the tests reach
	@scripts/cover

docs: ## write the generated pages of docs/ anew
	@scripts/setup build
	@$(VENV)/bin/python scripts/reference.py docs/settings.md

bench: ## measure us beside nginx and a dozen other servers; takes about 20 minutes
	@scripts/bench

clean: ## remove what was built, and the virtual environments
	@rm -rf .venv .venv-* build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage*
	@find src -name '*.so' -delete -o -name '*.c' -delete -o -name '*.egg-info' -prune -exec rm -rf {} +
