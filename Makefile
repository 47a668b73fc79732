# Every target uses the virtual environment .venv, made on first use; PYTHON=... picks another interpreter for it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LAYERS := core configs llm retrieval tools context nodes graphs runs app cli
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-fast test-long test-engine chaos lint types bench bench-faults bench-edits bench-code bench-docs bench-repos format clean

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
	$(BIN)/python -m pytest -n 2 --dist worksteal -q -m "not chaos and not long"

# Whole runs that take long, again and again: killed at every step, or with a hostile repository around every command.
test-long: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -q -m "long and not chaos"

test-fast: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -q -m "not slow and not weights and not chaos and not long"

# Our client against llama-server itself, and our rules of roles against the models' own chat templates. The source of
# both comes with the PyPI package llama-cpp-python; building the server takes a quarter to half an hour of two cores,
# once, and needs a C++ compiler. LLAMA_SERVER=/path/to/llama-server takes one that is there.
ENGINE := build/engine
LLAMA_SERVER ?= $(ENGINE)/bin/llama-server
# Little optimisation: the model is tiny, and compiling is what takes the time.
LLAMA_FLAGS := -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS_RELEASE=-O1 -DCMAKE_CXX_FLAGS_RELEASE=-O1 \
	-DBUILD_SHARED_LIBS=OFF -DGGML_NATIVE=OFF -DGGML_OPENMP=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF \
	-DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_USE_PREBUILT_UI=OFF
JOBS ?= 2

$(VENV)/.engine: $(VENV)/.dev
	$(PIP_INSTALL) -e ".[engine]"
	touch $@

$(ENGINE)/source/.unpacked: $(VENV)/.engine
	$(BIN)/python -m pip download --quiet --no-deps --no-binary llama-cpp-python -d $(ENGINE) llama-cpp-python==0.3.36
	rm -rf $(ENGINE)/source && mkdir -p $(ENGINE)/source
	tar -xzf $(ENGINE)/llama_cpp_python-0.3.36.tar.gz -C $(ENGINE)/source --strip-components 3 \
	llama_cpp_python-0.3.36/vendor/llama.cpp
	touch $@

$(ENGINE)/bin/llama-server: $(ENGINE)/source/.unpacked
	$(BIN)/cmake -G Ninja -DCMAKE_MAKE_PROGRAM="$$PWD/$(BIN)/ninja" -S $(ENGINE)/source -B $(ENGINE) $(LLAMA_FLAGS)
	$(BIN)/cmake --build $(ENGINE) --target llama-server -j $(JOBS)

test-engine: $(VENV)/.engine $(ENGINE)/source/.unpacked $(LLAMA_SERVER)
	LLAMA_SERVER="$(LLAMA_SERVER)" CHAT_TEMPLATES="$(ENGINE)/source/models/templates" \
	$(BIN)/python -m pytest -q -m engine tests

# Kills and starves processes for about twenty minutes; CHAOS_POINTS, CHAOS_DISK and CHAOS_RESUMERS set how many.
chaos: $(VENV)/.dev
	$(BIN)/python -m pytest -q -s -m chaos tests/chaos tests/sandbox

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The checkout may have any name; a link called `flowloom` lets mypy see the root as the package.
types: $(VENV)/.dev
	@d=$$(mktemp -d) && ln -s "$$PWD" $$d/flowloom && bin=$$(cd $(BIN) && pwd) && here=$$PWD && cd $$d && \
	$$bin/mypy --cache-dir $$here/.mypy_cache --config-file flowloom/pyproject.toml $(addprefix flowloom/,__init__.py __main__.py $(LAYERS) tests); \
	status=$$?; rm -r $$d; exit $$status

bench: $(VENV)/.dev
	$(BIN)/python -m bench

# 29 faults of a model server at three agents over two APIs, in a quarter of an hour; the table goes into the document.
bench-faults: $(VENV)/.dev
	$(BIN)/python -m bench.fault_matrix --write docs/models.md

# Damaged edits from the history of public repositories. BENCH_REPOS is a folder of clones, which bench-repos makes
# where there is internet; BENCH_SET is tune or report; BENCH_AIDER an interpreter that has aider-chat, to compare.
BENCH_REPOS ?= build/bench-repos
BENCH_SET ?= report
bench-edits: $(VENV)/.dev
	$(BIN)/python -m bench.edit_cases --repos "$(BENCH_REPOS)" --set $(BENCH_SET) \
	$(if $(BENCH_SEED),--seed $(BENCH_SEED)) $(if $(BENCH_AIDER),--aider-python "$(BENCH_AIDER)")

# Which files a commit concerns, on public repositories, and what the index costs. BENCH_CLONES is a folder of bare clones
# (flask.git, aider.git, tokio.git, caddy.git; sqlalchemy.git, core.git of vuejs, prometheus.git, kafka.git). An hour or two.
BENCH_CLONES ?= build/bench-clones
bench-code: $(VENV)/.dev
	$(BIN)/python -m bench.code_search --repos "$(BENCH_CLONES)" --set $(BENCH_SET) \
	$(if $(BENCH_AIDER),--aider "$(BENCH_AIDER)")
	$(BIN)/python -m bench.code_speed --repos "$(BENCH_CLONES)" $(if $(BENCH_AIDER),--aider "$(BENCH_AIDER)")

bench-repos: $(VENV)/.base
	$(BIN)/python -m bench.edit_cases.sets "$(BENCH_REPOS)"

# Questions to documents. BENCH_DOCS is a folder with clones of yahoojapan/JGLUE and deepmind/xquad, without which only
# the speed is measured; BENCH_WEIGHTS a folder of weights and BENCH_MODEL their name, to search by meaning too.
bench-docs: $(VENV)/.dev
	$(BIN)/python -m bench.docs $(if $(BENCH_DOCS),--data "$(BENCH_DOCS)") \
	$(if $(BENCH_WEIGHTS),--weights "$(BENCH_WEIGHTS)" --model "$(BENCH_MODEL)")

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
