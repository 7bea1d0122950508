# Needs python3 (3.10 to 3.13, with venv) and make; everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-dev
PYTEST_ARGS ?=
FARM_TESTS := $(wildcard tests/integration/test_farm*.py)
SIZE_BIN := build/size/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PARALLEL := -n auto --dist loadfile --max-worker-restart=0
OTHER := build/lowest
OTHER_BIN := $(OTHER)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)

.PHONY: help demo install test test-farm coverage test-lowest test-newest check lint types fuzz size sbom packages bench clean

help:  ## say what there is
	@echo "make demo    install livematte into .venv and render the demo clip"
	@echo "make test    ruff, mypy and every test, a process for each core"
	@echo "make test-farm      the tests with a Ray cluster and an S3 server on loopback, which make test leaves out"
	@echo "make check   ruff and mypy only"
	@echo "make coverage       the tests, and which lines they run"
	@echo "make test-lowest    the tests with the oldest versions that pyproject.toml allows"
	@echo "make test-newest    the tests with the newest ones"
	@echo "make fuzz    two minutes of damaged files"
	@echo "make size    how large the installation without extras is"
	@echo "make packages       the wheel and the source package in new environments"
	@echo "make sbom    the bill of materials, CycloneDX, in dist/"
	@echo "make bench   how fast this machine is"
	@echo "make clean   remove .venv and everything that was built"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet --constraint constraints.txt setuptools
	$(PIP) install --quiet --constraint constraints.txt --no-build-isolation --editable .
	@$(BIN)/python tests/editable_types.py > $(if $(filter Windows_NT,$(OS)),NUL,/dev/null)
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
	$(BIN)/python -m pytest $(PARALLEL) -m "not farm" $(PYTEST_ARGS)

test-farm: $(TEST_STAMP)  ## one after the other: each starts several processes of its own
	$(BIN)/python -m pytest -m farm $(FARM_TESTS) $(PYTEST_ARGS)

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
	$(OTHER_BIN)/python -m pytest $(PARALLEL) -m "not farm" $(PYTEST_ARGS)

fuzz: $(TEST_STAMP)  ## mutated files for two minutes; python -m benchmarks.fuzz --help says how to search longer
	$(BIN)/python -m benchmarks.fuzz --seconds 120

size:  ## in an environment of its own, build/size
	$(PYTHON) -m venv --clear build/size
	$(SIZE_BIN)/python -m pip install --quiet --constraint constraints.txt .
	$(PYTHON) -m tests.install_size $(SIZE_BIN)/python

sbom: $(STAMP)  ## the bill of materials of a release: dist/sbom.cdx.json
	@$(BIN)/python -c "import os; os.makedirs('dist', exist_ok=True)"
	$(BIN)/livematte version --sbom > dist/sbom.cdx.json

packages: $(TEST_STAMP)  ## the wheel and the source package, each tried in an environment of its own
	$(BIN)/python -m tests.try_packages

bench: $(STAMP)
	$(BIN)/livematte bench

clean:
	$(PYTHON) -c "import shutil; [shutil.rmtree(d, True) for d in ('$(VENV)', 'build', 'dist', 'demo', '.mypy_cache', '.ruff_cache', '.pytest_cache', '.hypothesis')]"
