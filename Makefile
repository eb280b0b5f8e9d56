# Three commands for a fresh machine with Python 3.11 or newer:
#   make demo   its own virtual environment, install, watch a recurrent language model learn
#   make test   likewise, then lint, types and tests
#   make docs   likewise, then the documentation as a site: docs/_build/html/index.html
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

# one process more than there are cores, because many tests wait for files or other processes; on many cores more of
# them would only wait for the slowest test
PARALLEL ?= -n $(shell $(PYTHON) -c "import os; print(min(4, os.cpu_count() + 1))")

# compiled modules are kept, whatever the environment says: tests start hundreds of processes
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test lint types tests coverage docs clean

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

# a warning is an error, and so is a link to a page or a heading that does not exist
docs: $(VENV)/.installed-docs
	$(BIN)/sphinx-build -q -W --keep-going -c docs -t en -d docs/_build/en docs/en docs/_build/html/en
	$(BIN)/sphinx-build -q -W --keep-going -c docs -t ko -d docs/_build/ko docs/ko docs/_build/html/ko
	cp docs/choose-language.html docs/_build/html/index.html

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("elman needs Python 3.11 or newer; try: make PYTHON=python3.12 " "$(MAKECMDGOALS)") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-%: pyproject.toml $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[$*]"
	touch $@

clean:
	rm -rf $(VENV) build dist docs/_build .pytest_cache .mypy_cache .ruff_cache
