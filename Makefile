# Two commands are enough on a machine that has only Python 3.10 to 3.13, make and a package index:
#   make demo   installs into .venv, then runs the Create ML job at a tenth of its size
#   make test   installs into .venv, then runs the tests
# `make` alone lists all targets: the texts behind ## below.
PYTHON ?= python3
# A Python that is named and does not run, as pyenv's stand-ins on PATH, is looked for among pyenv's versions. One of
# another version than that of .venv has an environment of its own, .venv-3.13 for instance.
version_of = $(shell $(1) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
ifneq ($(origin PYTHON),file)
VERSION := $(call version_of,$(PYTHON))
ifeq ($(VERSION),)
override PYTHON := $(or $(shell python3 .ci/find_python.py $(PYTHON:python%=%)),$(error $(PYTHON) does not run here; give PYTHON= a Python 3.10 to 3.13))
VERSION := $(call version_of,$(PYTHON))
endif
VENV ?= .venv$(if $(filter-out $(VERSION),$(call version_of,.venv/bin/python)),-$(VERSION))
endif
VENV ?= .venv
VENV := $(VENV)
BIN := $(VENV)/bin
UV := $(BIN)/uv
SCALE ?= 0.1
WORKERS ?= 4
VERSIONS ?= 3.10 3.13
SECONDS ?= 60
PYTEST = $(BIN)/python -m pytest
AS_MAC := not slow and not browser and not turicreate
AS_MAC_TESTS := $(addprefix tests/,conversion mil_onnx model_files report runtimes timing workers)
FAST := not slow and not long and not browser and not network and not tensorflow and not turicreate

# uv does not read pip's settings: hand over the package index that pip was told to use, if it was.
PIP_INDEX := $(shell $(PYTHON) -m pip config get global.index-url 2>/dev/null)
ifneq ($(strip $(PIP_INDEX)),)
export UV_DEFAULT_INDEX ?= $(strip $(PIP_INDEX))
endif

.DEFAULT_GOAL := help
.PHONY: help demo install test test-fast test-slow test-all fuzz test-browser test-pythons test-as-mac test-wheel coverage \
	lint types format hooks lock lock-check clean docs

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: install  ## install into .venv, then run the Create ML job at a tenth of its size (SCALE=0.1)
	$(BIN)/coremlbench createml --scale $(SCALE)

install: $(VENV)/installed  ## install into .venv, exactly what the lock holds

$(VENV)/installed: requirements.lock requirements-bootstrap.lock pyproject.toml
	@$(PYTHON) .ci/check_platform.py $(PYTHON)
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# The files of tests go to four processes at once, as many of them wait for children; WORKERS=0 runs them one after
# the other in one.
test: install  ## run the tests, but for the slow ones and those in a browser
	$(PYTEST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-fast: install  ## run the quick tests without TensorFlow, Turi Create and network: a minute
	$(PYTEST) -n $(WORKERS) --dist loadfile -m "$(FAST)"

test-slow: install  ## run the slow tests alone
	$(PYTEST) -n $(WORKERS) --dist load -m "slow and not browser"

test-all: install  ## run all tests, but for those in a browser, test-as-mac and fuzz
	$(PYTEST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not browser"
	$(MAKE) --no-print-directory test-as-mac
	$(MAKE) --no-print-directory fuzz

# SECONDS is for each of the six readers; what breaks one is kept in fuzz-findings.
fuzz: install  ## on Linux: fuzz the readers of untrusted files, a minute each (SECONDS=60)
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

# What a Mac runs of its own versions and can run here: everything but training, Turi Create and the command line.
test-as-mac: install  ## on Linux: run the tests of conversion, proof, timing, kits and report in a Mac's versions
ifeq ($(shell uname),Linux)
	@for processor in arm64 x86_64; do \
		environment=.venv-as-mac-$$processor; \
		$(MAKE) --no-print-directory $$environment/installed && $$environment/bin/python -m pytest \
			-n $(WORKERS) --dist loadfile -m "$(AS_MAC)" $(AS_MAC_TESTS) || exit 1; \
	done
else
	@echo "This is not Linux: .venv has the versions of this machine already."
endif

.venv-as-mac-%/installed: requirements.lock pyproject.toml .ci/as_mac.py
	$(BIN)/python .ci/as_mac.py $* $(@D) --uv $(UV)
	@touch $@

# Chromium is looked for under its usual names; COREMLBENCH_CHROMIUM names another.
test-browser: install  ## run the tests of the report in a browser
	$(PYTEST) -m browser

test-pythons:  ## run the fast tests under the oldest and the newest Python, where they are found
	@failed=; for version in $(VERSIONS); do \
		if python=$$($(PYTHON) .ci/find_python.py $$version); then \
			echo "Python $$version: $$python"; \
			$(MAKE) --no-print-directory test-fast PYTHON="$$python" VENV=.venv-$$version || failed="$$failed $$version"; \
		else \
			echo "Python $$version is neither on PATH nor among pyenv's versions, so nothing was tried under it."; \
		fi; \
	done; \
	if [ -n "$$failed" ]; then echo "The fast tests failed under Python$$failed."; exit 1; fi

test-wheel: install  ## install the wheel alone under every Python that is found, and try it there
	$(BIN)/python .ci/try_wheel.py --uv $(UV) 3.10 3.11 3.12 3.13

coverage: install  ## run the fast tests and show which lines they and their children reach
	$(PYTEST) -n $(WORKERS) --dist loadfile -m "$(FAST)" --cov --cov-report=term

# actionlint is in the lock for Linux only. Without shellcheck, which not every machine has, it says the same everywhere.
lint: install  ## check style, formatting, layers, workflows, and that no merge-conflict marker is left
	$(BIN)/python .ci/conflict_markers.py
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
ifeq ($(shell uname),Linux)
	$(BIN)/actionlint -shellcheck= -pyflakes=
endif
	@if swift format --version >/dev/null 2>&1; then swift format lint --strict --recursive toolkit tests; \
		elif [ -n "$$COREMLBENCH_REQUIRE_SWIFT" ]; then echo "There is no \`swift format\` on PATH, which checks the Swift files."; exit 1; \
		else echo "There is no \`swift format\` on PATH, so the Swift files were not checked."; fi

types: install  ## check types
	$(BIN)/mypy

format: install  ## mend style and formatting
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

hooks: install  ## have git run the checks at each commit
	$(BIN)/pre-commit install

docs: install  ## write docs/failures.md, known-deviations.md, ops.md, and parts of architecture.md and install.md
	$(BIN)/python docs/make_failures.py
	$(BIN)/python docs/make_install.py
	$(BIN)/python docs/make_known_deviations.py
	$(BIN)/python docs/make_ops.py
	$(BIN)/python docs/make_architecture.py

# The locks hold hashes and no addresses; renew them on purpose, then run the tests. .ci/locks.py lists them.
lock: install  ## renew the locked versions, then check that they can be installed
	$(BIN)/python .ci/locks.py renew --uv $(UV)
	$(MAKE) --no-print-directory docs

lock-check: install  ## resolve every lock for every system and Python that it promises; SAVE=1 saves the result
	$(BIN)/python .ci/locks.py $(if $(SAVE),save,check) --uv $(UV)

clean:  ## remove the environments and what tools keep
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .import_linter_cache .pytest_cache .hypothesis .coverage .coverage.* dist
