# Everything a person, the commit hook and CI run. `make help` lists it.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PROTOS := $(shell find interfaces/grpc/protos -name '*.proto')
# Most tests wait more than they compute, so that a core can run several.
PROCESSES ?= 4
# Images often forbid Python to keep what it has compiled: every process would compile the tests anew.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help setup run test check check-all bench fuzz soak soak-projections lint imports types beforehand lock clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv and install the pinned, hashed dependencies

$(READY): requirements/runtime.txt requirements/dev.txt pyproject.toml hatch_build.py $(PROTOS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "usersd needs Python 3.11 or later, and $(PYTHON) is $$($(PYTHON) -V 2>&1)." >&2; \
	  echo "Install a newer one and name it: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) has no venv module, so .venv cannot be made." >&2; \
	  echo "On Debian or Ubuntu: apt-get install python3-venv   On Fedora: it comes with python3." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: $(READY) ## start the service, with a PostgreSQL and a NATS of its own
	@$(BIN)/usersd run

test: $(READY) ## every test
	$(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

imports: $(READY)
	$(BIN)/lint-imports

types: $(READY)
	$(BIN)/mypy

# The processes that run the tests begin together, and each would compile whatever none has compiled yet.
beforehand: $(READY)
	@$(BIN)/python -m pytest --collect-only -q >/dev/null || $(BIN)/python -m pytest --collect-only -q

check: lint imports ## lint, import contracts, strict types, all tests: what CI runs
	$(MAKE) --jobs 2 --output-sync types beforehand
	$(MAKE) test

# What `make test` repeats a few times, it repeats more often here.
check-all: $(READY) ## check, and the tests that take packages of the system, which it installs (Debian, root)
	.ci/system-packages
	USERSD_KILL_ROUNDS=12 USERSD_KILL_REFRESH_ROUNDS=6 USERSD_TEST_MIRRORS=20 USERSD_TEST_MIRROR_WRITES=300 \
	  USERSD_FUZZ_REQUESTS=1000 $(MAKE) check
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m system

bench: $(READY) ## one table of ratios, each against a limit measured in the same run
	$(BIN)/python -m bench

fuzz: $(READY) ## ten minutes of what nobody should send, to a service of its own (SEED=7: another ten)
	$(BIN)/python -m tests.fuzz --seconds 600 --seed $(or $(SEED),1)

soak: $(READY) ## ten minutes of faults against every role and server, then the proof that no promise was broken (SECONDS=60 SEED=7)
	$(BIN)/python -m tests.chaos --seconds $(or $(SECONDS),600) --seed $(or $(SEED),1)

soak-projections: $(READY) ## ten minutes of faults against the read models alone, beside naive readers that must be found out (SEED=7)
	$(BIN)/python -m tests.soak --seconds 600 --seed $(or $(SEED),1)

lock: $(READY) ## resolve the dependencies anew into requirements/*.txt
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --output-file requirements/runtime.txt
	$(BIN)/uv pip compile pyproject.toml requirements/build.in --extra dev --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --constraint requirements/runtime.txt --output-file requirements/dev.txt
	$(BIN)/uv pip compile requirements/build.in --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --constraint requirements/dev.txt --output-file requirements/build.txt

clean: ## remove what setup and the checks made, not the data
	rm -rf $(VENV) interfaces/grpc/stubs build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
