# Needs python3 (3.10 to 3.13, with venv) and make; everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-dev
PYTEST_ARGS ?=
PARALLEL := -n auto --dist loadfile --max-worker-restart=0
OTHER := build/lowest
OTHER_BIN := $(OTHER)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)

.PHONY: help demo install test coverage test-lowest test-newest check lint types bench clean

help:  ## say what there is
	@echo "make demo    install livematte into .venv and render the demo clip"
	@echo "make test    ruff, mypy and every test, a process for each core"
	@echo "make check   ruff and mypy only"
	@echo "make coverage       the tests, and which lines they run"
	@echo "make test-lowest    the tests with the oldest versions that pyproject.toml allows"
	@echo "make test-newest    the tests with the newest ones"
	@echo "make bench   how fast this machine is"
	@echo "make clean   remove .venv and everything that was built"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet --constraint constraints.txt setuptools
	$(PIP) install --quiet --constraint constraints.txt --no-build-isolation --editable .
	@$(BIN)/python -c "open('$@', 'w').close()"

$(TEST_STAMP): $(STAMP)
	$(PIP) install --quiet --constraint constraints.txt --no-build-isolation --editable ".[dev]"
	@$(BIN)/python -c "open('$@', 'w').close()"

install: $(STAMP)

demo: $(STAMP)  ## render the bundled clip and say where the results are
	$(BIN)/livematte demo

lint: $(TEST_STAMP)
	$(BIN)/ruff check .

types: $(TEST_STAMP)
	$(BIN)/python -m tests.typecheck

check: lint types

test: check
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

coverage: $(TEST_STAMP)
	$(BIN)/python -m pytest $(PARALLEL) --cov --cov-report=term:skip-covered $(PYTEST_ARGS)

test-lowest: RESOLUTION := lowest-direct
test-newest: RESOLUTION := highest
test-lowest test-newest:  ## in an environment of their own, build/lowest
	$(PYTHON) -m venv --clear $(OTHER)
	$(OTHER_BIN)/python -m pip install --quiet uv
	$(OTHER_BIN)/python -m uv pip compile --quiet --resolution $(RESOLUTION) --extra dev --output-file $(OTHER)/versions.txt pyproject.toml
	$(OTHER_BIN)/python -m pip install --quiet --requirement $(OTHER)/versions.txt setuptools
	$(OTHER_BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(OTHER_BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

bench: $(STAMP)
	$(BIN)/livematte bench

clean:
	$(PYTHON) -c "import shutil; [shutil.rmtree(d, True) for d in ('$(VENV)', 'build', 'dist', 'demo', '.mypy_cache', '.ruff_cache', '.pytest_cache', '.hypothesis')]"
