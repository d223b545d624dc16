# Two commands are enough on a machine that has only Python 3.10 to 3.13, make and a package index:
#   make demo   installs into .venv, then runs the Create ML job at a tenth of its size
#   make test   installs into .venv, then runs the tests
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
SCALE ?= 0.1
WORKERS ?= 2

# uv does not read pip's settings: hand over the package index that pip was told to use, if it was.
PIP_INDEX := $(shell $(PYTHON) -m pip config get global.index-url 2>/dev/null)
ifneq ($(strip $(PIP_INDEX)),)
export UV_DEFAULT_INDEX ?= $(strip $(PIP_INDEX))
endif

.PHONY: demo install test test-all test-browser lint types format lock clean docs

demo: install
	$(BIN)/coremlbench createml --scale $(SCALE)

install: .venv/installed

.venv/installed: requirements.lock requirements-bootstrap.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 10) <= sys.version_info[:2] <= (3, 13) else "coremlbench needs Python 3.10 to 3.13, and $(PYTHON) is %d.%d; run make PYTHON=python3.12 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# The files of tests go to two processes at once; WORKERS=0 runs them one after the other in one.
test: install
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

test-all: install
	$(BIN)/python -m pytest -m "not browser"

# Chromium is looked for under its usual names; COREMLBENCH_CHROMIUM names another.
test-browser: install
	$(BIN)/python -m pytest -m browser

lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: install
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: install
	$(BIN)/python docs/make_failures.py

# The locks hold hashes and no addresses; renew them on purpose, then run the tests.
lock: install
	$(UV) pip compile --quiet --upgrade --universal --generate-hashes --no-header --python-version 3.10 \
		pyproject.toml --group dev -o requirements.lock
	$(UV) pip compile --quiet --upgrade --universal --generate-hashes --no-header --python-version 3.10 \
		requirements-bootstrap.in -o requirements-bootstrap.lock
	cd toolkit/coremlbench/createml/turicreate_requirements && $(CURDIR)/$(UV) pip compile --quiet --upgrade \
		--universal --generate-hashes --no-header --python-version 3.8 pyproject.toml -o requirements.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .import_linter_cache .pytest_cache .hypothesis dist
