# make demo | test | lint | surrogate      (each makes .venv on its own)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint surrogate clean

demo: $(STAMP)  ## train PPO and REINFORCE on ECNAS-7V-v0 and leave plots and tables in runs/demo
	$(BIN)/python examples/demo.py

test: $(STAMP)  ## lint, type-check and run all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/mypy

surrogate: $(STAMP)  ## refit the surrogate models and rewrite ecnas/data
	$(BIN)/python -m ecnas.surrogate.train

# PyTorch first and from the constraints: what depends on it would otherwise choose a build of several gigabytes.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt -e '.[agents,cluster,dev,mo,network,official,plots,report,search,surrogate]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) runs .mypy_cache .pytest_cache .ruff_cache build dist
