# `make compare` and `make test` need nothing but Python 3.11 or newer and a package index: every target
# first makes a virtual environment in $(VENV), or brings it up to date, with the versions of constraints.txt.

VENV ?= .venv
STAMP := $(VENV)/.installed
BIN := $(abspath $(VENV))/bin

# A copy of the sources laid out as they install. Static tools do not follow the mapping of searchers/,
# spaces/ and benchmarks/ into automl_cf that an editable install makes at run time, so they read this.
TREE := build/tree

.PHONY: compare test test-slow test-lowest bench faults fuzz lint pins pins-lowest audit clean
.DEFAULT_GOAL := test

compare: $(STAMP)
	$(BIN)/automl-cf compare

# A file's tests stay on one core, since they share what is slow to make.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n logical --dist loadfile

test-slow: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest -m slow -n logical --dist loadfile --no-loadscope-reorder --durations 25

# The tests with the lowest versions that pyproject.toml admits, in an environment of their own. They are wheels for
# Python 3.11, the oldest that is supported.
LOWEST := .venv-lowest
test-lowest:
	$(or $(PYTHON),python3.11) -m venv $(LOWEST)
	echo '*' > $(LOWEST)/.gitignore
	$(LOWEST)/bin/python -m pip install --quiet --requirement constraints-lowest.txt
	$(LOWEST)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	OMP_NUM_THREADS=1 $(LOWEST)/bin/pytest -n logical --dist loadfile

# The peer is welcome, not needed: where it cannot be installed, its row is left out.
bench: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt scikit-surprise || \
		echo "scikit-surprise cannot be installed here, so its row will be left out." >&2
	$(BIN)/python -m automl_cf.benchmarks.speed

# Hundreds of kills at random moments of short studies, and what must come out all the same: docs/faults.md
faults: $(STAMP)
	$(BIN)/python -m automl_cf.benchmarks.faults $(FAULTS)

# 10,000 malformed inputs for everything that reads what a user hands in: hours; make FUZZ="--inputs 300" is a quick one.
fuzz: $(STAMP)
	$(BIN)/python -m automl_cf.benchmarks.fuzz $(FUZZ)

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	rm -rf build
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --target $(TREE) .
	cd $(TREE) && $(BIN)/mypy --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.mypy_cache -p automl_cf
	cd $(TREE) && $(BIN)/lint-imports --no-cache $(CURDIR)/pyproject.toml

# New pins, and what changed. HOLD keeps packages as they are: make pins HOLD='torch==2.13.0' (see docs/dependencies.md)
pins: $(STAMP)
	$(BIN)/python tools/pins.py $(HOLD)

pins-lowest: $(STAMP)
	$(BIN)/python tools/pins.py --lowest $(HOLD)

# Known vulnerabilities of the pinned versions. It asks PyPI, and --strict fails where a package is not found there,
# as on a mirror without PyPI's JSON API, rather than pass unseen. What is ignored stands in docs/dependencies.md.
AUDIT := .venv-audit
audit:
	$(or $(PYTHON),python3) -m venv $(AUDIT)
	echo '*' > $(AUDIT)/.gitignore
	$(AUDIT)/bin/python -m pip install --quiet 'pip-audit>=2.10,<3'
	$(AUDIT)/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

# setuptools first: with it the package itself is built without fetching an unpinned one.
$(STAMP): pyproject.toml setup.py constraints.txt
	@for python in $(PYTHON) python3 python3.11 python3.12 python3.13; do \
		if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "Setting up $(VENV) with $$($$python --version)"; exec $$python -m venv $(VENV); \
		fi; \
	done; \
	echo "automl-cf needs Python 3.11 or newer, and none was found; name one with: make PYTHON=/path/to/python" >&2; \
	exit 1
	$(BIN)/python -m pip install --quiet --constraint constraints.txt setuptools
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) $(LOWEST) $(AUDIT) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
