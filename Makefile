# Every target makes its own environment in .venv on first use; nothing else needs to be installed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Without --no-compile pip compiles every module of every package, which takes longer than all else; Python compiles those
# that are imported.
PIP_INSTALL := $(BIN)/pip install --quiet --no-compile
# Extras are installed in two steps: the demo does not wait for the developers' tools.
DEMO_STAMP := $(VENV)/.installed-demo
DEV_STAMP := $(VENV)/.installed-dev

# Tests start hundreds of processes: compiled modules are kept, whatever the environment says.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test test-all check format bench docs clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -m venv --upgrade-deps $(VENV)  # a newer pip than Python brings takes a quarter less time

$(DEMO_STAMP): pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) --editable '.[openvino]'
	@touch $@

$(DEV_STAMP): pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) --editable '.[openvino,serve,planner,postgres,docs,dev]'
	@touch $@ $(DEMO_STAMP)

demo: $(DEMO_STAMP)  ## measure four real models, plan them, run the plan beside the default set-up, re-plan on drift
	$(BIN)/edgeplan demo --output demo-output

# Slow tests of these only compute and run in two processes; the others serve or measure and have the machine to themselves.
COMPUTING := tests/formulation tests/packaging tests/solvers

test: $(DEV_STAMP)  ## the fast tests
	$(BIN)/python -m pytest -n 2 --dist worksteal tests

test-all: test  ## every test, the slow ones too
	$(BIN)/python -m pytest -m slow -n 2 --dist worksteal $(COMPUTING)
	$(BIN)/python -m pytest -m slow $(addprefix --ignore=,$(COMPUTING)) tests

check: $(DEV_STAMP)  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python --threads 2

format: $(DEV_STAMP)  ## apply the formatter and the safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEV_STAMP)  ## run the benchmarks whose outputs are committed under docs/results
	@for script in benchmarks/*.py; do echo "== $$script"; \
		$(BIN)/python $$script --output docs/results/$$(basename $$script .py).md || exit 1; done

docs: $(DEV_STAMP)  ## build the site into site/; index.html there opens without a server and without a network
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

clean:  ## remove the environment and what was built
	rm -rf $(VENV) build dist site demo-output *.egg-info
