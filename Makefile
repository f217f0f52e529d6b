# Two commands do everything: `make demo` (the main job) and `make test`. `make help` lists the rest.

PYTHON ?= python3
VENV   ?= .venv
PYTEST_ARGS ?= -n logical --maxprocesses=8
export PYTHON VENV PYTEST_ARGS

# pip, mypy and gpg want a home that exists; a container or a CI job may have none.
ifeq ($(strip $(HOME)),)
export HOME := $(CURDIR)/.cache/home
$(shell mkdir -p '$(HOME)')
endif

RUN  := $(VENV)/bin
READY := $(VENV)/.ready
RIVALS := .venv-rivals/.ready

.DEFAULT_GOAL := help
.PHONY: help venv demo test check bench test-all clean

help:
	@echo 'make demo      the main job, from two GnuPG users to a rotation under a running site'
	@echo 'make test      the tests (gpg, git and a redis-server are real); PYTEST_ARGS="-k fernet" selects'
	@echo 'make check     ruff, mypy, import-linter, and the blocks of the README as tests'
	@echo 'make bench     ours, theirs, the ratio and the goal; BENCH="fernet --json" selects'
	@echo 'make test-all  everything, slow tests and the other Pythons included; installs or demands tools'
	@echo 'make venv      only the virtual environment ($(VENV)); PYTHON=python3.12 chooses'
	@echo 'make clean     removes what these targets made'

venv: $(READY)

$(READY): pyproject.toml scripts/venv
	@scripts/venv '$(PYTHON)' '$(VENV)'

demo: $(READY)
	@$(RUN)/python -m examples.demo

test: $(READY)
	@$(RUN)/python -m pytest -m 'not slow and not machine and not page' $(PYTEST_ARGS)

check: $(READY)
	@echo 'check: ruff' && $(RUN)/ruff check --quiet && $(RUN)/ruff format --check --quiet
	@echo 'check: mypy' && $(RUN)/mypy --no-error-summary
	@echo 'check: the floors' && $(RUN)/lint-imports --no-cache
	@echo 'check: the blocks of the README and the docs' && $(RUN)/python -m pytest tests/test_readme.py tests/test_project.py

bench: $(RIVALS)
	@.venv-rivals/bin/python -m benchmarks $(BENCH)

$(RIVALS): pyproject.toml scripts/venv
	@scripts/venv '$(PYTHON)' .venv-rivals --group rivals

test-all: $(READY)
	@$(RUN)/python scripts/tools.py
	@$(RUN)/python -m pytest $(PYTEST_ARGS)
	@$(RUN)/python scripts/other_pythons.py

clean:
	@rm -rf .venv .venv-3.* .cache build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
	@echo 'clean: the virtual environments and the caches are gone'
