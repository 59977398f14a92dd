# `make demo` and `make test` need only Python (3.11 or newer), make, and a network the first time.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
TORCH ?=

.PHONY: demo test fast failures games faults benchmarks lint format clean

# Train on the embedded digits; about three minutes on two cores.
demo: $(VENV)/installed
	$(BIN)/python run.py --config experiments/digits_wgan.py --config.wandb.mode=disabled
	@echo "The pictures are in runs/digits_wgan/samples: progress.gif shows the whole run."

# All tests, the slow ones in their short form.
test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Without the slow ones, which take most of the time: what to run while working. Ends with those
# that should be marked `slow` too, if there are any.
fast: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" --durations=10 --durations-min=10

# The full table of failures made on purpose, 5 seeds each; about five minutes.
failures: $(VENV)/installed-dev
	$(BIN)/python -m tests.failures --seeds 5 --out benchmarks/results/failures.json

# Games of every objective, sound and in trouble, and what the judge says of them: 83, of some
# 13 seconds each on two idle cores.
games: $(VENV)/installed-dev
	$(BIN)/python -m tests.failures.games --seeds 1 --drawn 35 --out benchmarks/results/games.json

# Runs killed, damaged and starved at random moments, and what is left of them; 20 minutes.
faults: $(VENV)/installed-dev
	$(BIN)/python -m tests.faults --tries 5 --kills 50 --out benchmarks/results/faults.json --docs docs/reliability.md

# What things cost, beside other libraries, for docs/performance.md; about 50 idle minutes.
# TORCH is a Python that has PyTorch and torch-fidelity; without it their figures are left out.
benchmarks: $(VENV)/installed-dev
	$(BIN)/python -m benchmarks --torch "$(TORCH)"

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/installed: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(0 if sys.version_info >= (3, 11) else 'Python 3.11 or newer is needed: make PYTHON=python3.12')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
