PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
WORKERS := -n 2 --dist loadfile
export OMP_NUM_THREADS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: install quickstart lint check test soak speed clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@echo "Installing into .venv (once; about two minutes) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --constraint constraints.txt --editable '.[test]'
	@touch $(INSTALLED)

quickstart: $(INSTALLED)
	@$(BIN)/nlhf reproduce inpo_table1
	@$(BIN)/nlhf report inpo_table1

lint: $(INSTALLED)
	@$(BIN)/ruff format --check --quiet . || { echo "run: $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy

check: lint
	@$(BIN)/pytest $(WORKERS) -m "not slow"

test: $(INSTALLED)
	@$(BIN)/pytest $(WORKERS)

soak: $(INSTALLED)
	@NLHF_SOAK_KILLS=100 $(BIN)/pytest -m slow -k killed

speed: $(INSTALLED)
	@$(BIN)/python benchmarks/speed/tabular.py
	@$(BIN)/python benchmarks/speed/bootstrap.py
	@$(BIN)/python benchmarks/speed/leaderboard.py
	@$(BIN)/python benchmarks/speed/leaderboard.py --gamed
	@$(BIN)/python benchmarks/speed/language_models.py
	@$(BIN)/python benchmarks/speed/judging.py

clean:
	rm -rf .venv outputs/runs outputs/stages outputs/tables
