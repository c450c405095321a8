# make demo | test | test-core | lint | fuzz | docs | surrogate      (each makes .venv on its own)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-core lint fuzz docs surrogate clean

demo: $(STAMP)  ## train PPO and REINFORCE on ECNAS-7V-v0 and leave plots and tables in runs/demo
	$(BIN)/python examples/demo.py

test: $(STAMP)  ## check the spelling, lint, type-check and run all tests
	$(BIN)/codespell
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile

# A user's path: the wheel in an environment of its own, with what it depends on and nothing else.
CORE := build/core
CORE_TESTS := $(addprefix tests/test_, $(addsuffix .py, cell space table benchmark budget env edit_env record cli))

test-core:  ## build the wheel and test it with the minimal dependencies
	rm -rf $(CORE) && mkdir -p $(CORE)
	$(PYTHON) -m venv $(CORE)/venv
	$(CORE)/venv/bin/pip wheel --quiet --no-deps --wheel-dir $(CORE)/wheel .
	$(CORE)/venv/bin/pip install --quiet $(CORE)/wheel/*.whl
	sed -n '/^```python$$/,/^```$$/{/^```/d;p;}' README.md > $(CORE)/readme.py
	cd $(CORE) && venv/bin/python -W error::ImportWarning readme.py && venv/bin/ecnas info surrogate-4V > info.txt
	$(CORE)/venv/bin/pip install --quiet pytest pytest-timeout hypothesis
	$(CORE)/venv/bin/pytest -q -p no:cacheprovider $(CORE_TESTS)

lint: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/mypy

docs: $(STAMP)  ## build the site into build/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

fuzz: $(STAMP)  ## ten minutes of damaged files, tables, records, sweeps, arguments and actions
	$(BIN)/python tests/fuzz.py

surrogate: $(STAMP)  ## refit the surrogate models and rewrite ecnas/data
	$(BIN)/python -m ecnas.surrogate.train

# PyTorch first and from the constraints: what depends on it would otherwise choose a build of several gigabytes.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt -e '.[agents,cluster,dev,docs,jax,measured,mo,network,official,plots,report,search,surrogate]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) runs .mypy_cache .pytest_cache .ruff_cache build dist
