# Everything runs in .venv, which the first command makes. Needs Python 3.11 or newer, a C compiler and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SOURCES := setup.py pyproject.toml $(shell find _core engine adapters -type f -not -name '*.pyc')

.PHONY: run test test-long lint types bench bench-peers policies replay llm mutants clean

run: $(VENV)/.built
	$(BIN)/tailwise run $(ARGS)

test: lint types
	$(BIN)/python -m pytest -m "not long" $(ARGS)

test-long: $(VENV)/.built
	$(BIN)/python -m pytest -m long $(ARGS)

lint: $(VENV)/.built
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.built
	cd build && ../$(BIN)/mypy --config-file ../pyproject.toml

bench: $(VENV)/.built
	$(BIN)/python -m pytest bench --benchmark-only $(ARGS)
	$(BIN)/python -m bench.ratio

# The libraries of the extra "peers" as far as they are installed: the others are rows that say how to get them.
bench-peers: $(VENV)/.built
	$(BIN)/python -m bench.peers $(ARGS)

# Five seeds of the run, one table: about ten minutes.
policies: $(VENV)/.built
	$(BIN)/python -m bench.policies $(ARGS)

# The short replay: a table for each of four scenarios, and one page in build/replay.html.
replay: $(VENV)/.built
	$(BIN)/python -m bench.replay grid.poisson.load.080 grid.poisson.load.080.events \
		grid.poisson.load.120.events published.11 --seeds 2 --jobs 2 --html build/replay.html $(ARGS)

# Real language models behind nginx and the gateway: ten minutes, and once 25 to compile llama.cpp where pip finds no wheel.
llm: $(VENV)/.built
	$(BIN)/python -m bench.llm $(ARGS)

# Breaks each guarantee on purpose, one line at a time, and sees its tests fail: about ten minutes.
mutants: $(VENV)/.built
	$(BIN)/python -m tests.mutants $(ARGS)

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade pip
	$(PIP) install --quiet --constraint constraints.txt setuptools wheel Cython numpy torch
	touch $@

# The installed package is what is run and tested, never the source tree.
$(VENV)/.built: $(VENV)/.ready $(SOURCES)
	$(PIP) install --quiet --constraint constraints.txt --no-build-isolation ".[dev]"
	mkdir -p build && touch $@
