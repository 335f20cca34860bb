# Everything a contributor runs. GNU make 3.81 (macOS) is enough.
#
# .venv is made when it is missing, with the newest Python 3.11+ found; `PYTHON=...` chooses one.
# Each set of packages has a stamp of its own, written last: what was interrupted is done again, and
# what is there is not installed twice.

VENV := .venv
BIN := $(VENV)/bin
ORACLES_VENV := .venv-oracles
ORACLES_BIN := $(ORACLES_VENV)/bin
# Set PIP_FLAGS= to see what pip does.
PIP_FLAGS ?= --quiet
# For example, to take packages from an index of CPU builds: ORACLES_PIP_FLAGS="--extra-index-url URL"
ORACLES_PIP_FLAGS ?=
BENCH_TORCH_VENV := .venv-bench-torch
BENCH_JAX_VENV := .venv-bench-jax
# The rivals of the benchmark. docs/benchmarks.md shows how to choose versions and their source.
BENCH_TORCH ?= torch==2.13.0
BENCH_JAX ?= jax
BENCH_PIP_FLAGS ?=
PIP_INSTALL = -m pip install --disable-pip-version-check $(PIP_FLAGS)

PYTHON ?=
export PYTHON

# Two installs into one environment at once would break it.
.NOTPARALLEL:
.DELETE_ON_ERROR:
# Each is a script in applications/ (docs/applications.md).
APPLICATIONS := novels passages reviews traffic tags verses
.PHONY: help demo test lint docs oracles bench bench-kernels fashion novels-parity clean $(APPLICATIONS)

help:
	@echo "make demo     train a small CNN on handwritten digits (installs what it needs)"
	@echo "make test     run the tests"
	@echo "make lint     ruff, mypy, the import contracts, the length of files"
	@echo "make docs     run the examples of the documentation; every public name has one"
	@echo "make oracles  compare with PyTorch, in an environment of its own (.venv-oracles)"
	@echo "make bench    time training steps beside PyTorch and JAX, in environments of their own"
	@echo "make fashion  time Fashion-MNIST to 90 % beside PyTorch: make fashion DATA=FOLDER"
	@echo "make novels-parity  train on the novels beside PyTorch: equal bits per character"
	@echo "make bench-kernels  time single kernels beside PyTorch, NumPy and the limits of the machine"
	@echo "make novels   train a GPT and an LSTM on the characters of Jane Austen's six novels"
	@echo "make passages  tell which of the novels a passage is from, by a pretrained encoder"
	@echo "make reviews  tell from its text whether a review of food is a great one"
	@echo "make traffic  forecast the traffic of a highway 24 hours ahead"
	@echo "make tags     find parts of speech and names in Turkish sentences"
	@echo "make verses   translate from English to Spanish, learnt from verses"
	@echo "              (the data come with apt-get or pip, or from DATA=FOLDER: docs/applications.md)"
	@echo "make clean    remove the environments and caches"
	@echo
	@echo "PYTHON=/path/to/python3 chooses the Python; arguments for pytest: make test ARGS='-k shape'"

# An environment dies when its folder is moved or its Python is removed: then it is made anew.
define check_venv
ifneq ($$(wildcard $(1)/.made),)
ifneq ($$(shell $(1)/bin/python -c 'print("runs")' 2>/dev/null) $$(shell cat $(1)/.made),runs $$(CURDIR)/$(1))
$$(shell rm -f $(1)/.made)
endif
endif
endef
$(eval $(call check_venv,$(VENV)))
$(eval $(call check_venv,$(ORACLES_VENV)))
$(eval $(call check_venv,$(BENCH_TORCH_VENV)))
$(eval $(call check_venv,$(BENCH_JAX_VENV)))

# The stamp of a rival holds what was asked for: another version is installed anew.
define check_rival
ifneq "$$(shell cat $(1) 2>/dev/null)" "$(2)"
$$(shell rm -f $(1))
endif
endef
$(eval $(call check_rival,$(BENCH_TORCH_VENV)/.rival,$(BENCH_TORCH)))
$(eval $(call check_rival,$(BENCH_JAX_VENV)/.rival,$(BENCH_JAX)))
RIVALS := $(if $(findstring --no-rivals,$(ARGS)),,$(BENCH_TORCH_VENV)/.rival $(BENCH_JAX_VENV)/.rival)

$(VENV)/.made:
	@sh tools/make_venv.sh $(VENV)

$(VENV)/.plots: $(VENV)/.made pyproject.toml
	@echo "Installing retrograd and what the demo needs"
	@$(BIN)/python $(PIP_INSTALL) -e '.[plots]'
	@touch $@

# The optional readers and plots belong to what is tested; PyTorch does not.
$(VENV)/.dev: $(VENV)/.made pyproject.toml
	@echo "Installing retrograd and the tools for development"
	@$(BIN)/python $(PIP_INSTALL) -e '.[dev,images,plots,tables,text]'
	@touch $@

$(VENV)/.applications: $(VENV)/.made pyproject.toml
	@echo "Installing retrograd and what reads the data of the applications"
	@$(BIN)/python $(PIP_INSTALL) -e '.[applications]'
	@touch $@

$(ORACLES_VENV)/.made:
	@sh tools/make_venv.sh $(ORACLES_VENV) 3.11

$(ORACLES_VENV)/.oracles: $(ORACLES_VENV)/.made pyproject.toml
	@echo "Installing retrograd and PyTorch (CPU is enough; CONTRIBUTING.md says how to avoid CUDA)"
	@$(ORACLES_BIN)/python $(PIP_INSTALL) $(ORACLES_PIP_FLAGS) -e '.[oracles]'
	@touch $@

$(VENV)/.bench: $(VENV)/.made pyproject.toml
	@echo "Installing retrograd"
	@$(BIN)/python $(PIP_INSTALL) -e .
	@touch $@

$(BENCH_TORCH_VENV)/.made:
	@sh tools/make_venv.sh $(BENCH_TORCH_VENV) 3.11

$(BENCH_JAX_VENV)/.made:
	@sh tools/make_venv.sh $(BENCH_JAX_VENV) 3.11

$(BENCH_TORCH_VENV)/.rival: $(BENCH_TORCH_VENV)/.made
	@echo "Installing $(BENCH_TORCH) (CPU is enough; docs/benchmarks.md says how to avoid CUDA)"
	@$(BENCH_TORCH_VENV)/bin/python $(PIP_INSTALL) $(BENCH_PIP_FLAGS) $(foreach p,$(BENCH_TORCH),'$(p)')
	@printf '%s\n' '$(BENCH_TORCH)' >$@

$(BENCH_JAX_VENV)/.rival: $(BENCH_JAX_VENV)/.made
	@echo "Installing $(BENCH_JAX)"
	@$(BENCH_JAX_VENV)/bin/python $(PIP_INSTALL) $(BENCH_PIP_FLAGS) $(foreach p,$(BENCH_JAX),'$(p)')
	@printf '%s\n' '$(BENCH_JAX)' >$@

demo: $(VENV)/.plots
	@$(BIN)/retrograd demo $(ARGS)

test: $(VENV)/.dev
	@$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.dev
	@echo "ruff check"; $(BIN)/ruff check .
	@echo "ruff format --check"; $(BIN)/ruff format --check .
	@echo "mypy"; $(BIN)/mypy
	@echo "lint-imports"; $(BIN)/lint-imports
	@echo "file length"; $(BIN)/python tools/check_file_length.py

docs: $(VENV)/.dev
	@$(BIN)/python -m pytest --doctest-modules --doctest-glob='*.md' src/retrograd docs README.md
	@$(BIN)/python tools/run_examples.py README.md docs/translation.md
	@$(BIN)/python tools/check_docs.py

oracles: $(ORACLES_VENV)/.oracles
	@$(ORACLES_BIN)/python -m pytest oracles $(ARGS)

bench: $(VENV)/.bench $(RIVALS)
	@$(BIN)/python -m benchmarks.run $(ARGS)

bench-kernels: $(VENV)/.bench $(filter $(BENCH_TORCH_VENV)/%,$(RIVALS))
	@$(BIN)/python -m benchmarks.kernels $(ARGS)

fashion: $(VENV)/.bench $(filter-out $(BENCH_JAX_VENV)/.rival,$(RIVALS))
	@$(BIN)/python -m benchmarks.fashion '$(DATA)' $(ARGS)

novels-parity: $(VENV)/.applications $(BENCH_TORCH_VENV)/.rival
	@$(BIN)/python -m benchmarks.novels $(if $(DATA),--data '$(DATA)') $(ARGS)

$(APPLICATIONS): $(VENV)/.applications
	@$(BIN)/python -m applications.$@ $(if $(DATA),--data '$(DATA)') $(ARGS)

clean:
	rm -rf $(VENV) $(ORACLES_VENV) $(BENCH_TORCH_VENV) $(BENCH_JAX_VENV)
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf .import_linter_cache
	find src tests tools oracles benchmarks applications -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
