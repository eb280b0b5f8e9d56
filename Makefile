# Two commands for a fresh machine with Python 3.11 or newer:
#   make demo   its own virtual environment, install, watch a recurrent language model learn
#   make test   likewise, then lint, types and tests
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

# several processes; on many cores more of them would only wait for the slowest test
PARALLEL ?= -n auto --maxprocesses 4

.PHONY: demo test lint types tests coverage clean

demo: $(VENV)/.installed-plot
	$(BIN)/elman demo

test: lint types tests

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-test
	$(BIN)/mypy

tests: $(VENV)/.installed-test
	$(BIN)/python -m pytest $(PARALLEL) --durations=5

# counts the lines that tests execute; takes about twice as long as `tests`
coverage: $(VENV)/.installed-test
	$(BIN)/python -m pytest $(PARALLEL) --cov --cov-report=term:skip-covered

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("elman needs Python 3.11 or newer; try: make PYTHON=python3.12 " "$(MAKECMDGOALS)") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-%: pyproject.toml $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[$*]"
	touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
