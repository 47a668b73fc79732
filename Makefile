# Every target uses the virtual environment .venv, made on first use; PYTHON=... picks another interpreter for it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LAYERS := core configs llm retrieval tools context nodes graphs runs app cli
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-fast chaos lint types bench bench-edits bench-repos format clean

$(VENV)/.base: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing flowloom into $(VENV) (a minute or two the first time)"
	$(PIP_INSTALL) -e .
	touch $@

$(VENV)/.dev: $(VENV)/.base
	@echo "installing the test tools and the extra e5 (torch; several minutes the first time)"
	$(PIP_INSTALL) -e ".[dev,e5]"
	touch $@

demo: $(VENV)/.base
	$(BIN)/flow demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 -q -m "not chaos"

test-fast: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 -q -m "not slow and not weights and not chaos"

# Kills and starves processes for about twenty minutes; CHAOS_POINTS, CHAOS_DISK and CHAOS_RESUMERS set how many.
chaos: $(VENV)/.dev
	$(BIN)/python -m pytest -q -s -m chaos tests/chaos

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The checkout may have any name; a link called `flowloom` lets mypy see the root as the package.
types: $(VENV)/.dev
	@d=$$(mktemp -d) && ln -s "$$PWD" $$d/flowloom && bin=$$(cd $(BIN) && pwd) && cd $$d && \
	$$bin/mypy --config-file flowloom/pyproject.toml $(addprefix flowloom/,__init__.py __main__.py $(LAYERS) tests); \
	status=$$?; rm -r $$d; exit $$status

bench: $(VENV)/.dev
	$(BIN)/python -m bench

# Damaged edits from the history of public repositories. BENCH_REPOS is a folder of clones, which bench-repos makes
# where there is internet; BENCH_SET is tune or report; BENCH_AIDER an interpreter that has aider-chat, to compare.
BENCH_REPOS ?= build/bench-repos
BENCH_SET ?= report
bench-edits: $(VENV)/.dev
	$(BIN)/python -m bench.edit_cases --repos "$(BENCH_REPOS)" --set $(BENCH_SET) \
	$(if $(BENCH_SEED),--seed $(BENCH_SEED)) $(if $(BENCH_AIDER),--aider-python "$(BENCH_AIDER)")

bench-repos: $(VENV)/.base
	$(BIN)/python -m bench.edit_cases.sets "$(BENCH_REPOS)"

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
