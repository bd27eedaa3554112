.DEFAULT_GOAL := help
.PHONY: help demo test test-fast lint bench

PYTHON ?= python3
# Threads of torch that wait shall sleep: where other work runs beside, spinning ones take several times as long.
export OMP_WAIT_POLICY ?= PASSIVE
# Where it is set, every process compiles all of torch and Ray anew: eight seconds of the CPU each, and Ray starts many.
unexport PYTHONDONTWRITEBYTECODE
BIN := .venv/bin
# Tests that share one Ray, one cluster of nodes or one finished run stay in one process.
PARALLEL := -n 2 --dist loadgroup
# Without a GPU the plain torch of Linux brings gigabytes of CUDA libraries; an index of CPU builds spares them.
TORCH_INDEX ?=
torch_index := $(if $(TORCH_INDEX),$(if $(shell command -v nvidia-smi),,--extra-index-url $(TORCH_INDEX)))

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*##/\1\t/p' $(MAKEFILE_LIST) | expand -t 12
	@echo "TORCH_INDEX=URL     pip index of CPU builds of torch, used where no GPU is"

demo: .venv/installed  ## make a small data set of a synthetic activity, from adaptation to report
	$(BIN)/flexpose pipeline quickstart

test: .venv/installed  ## all tests; those on real data need FLEXPOSE_DATA
	$(BIN)/python -m pytest $(PARALLEL) --durations=10

test-fast: .venv/installed  ## the tests that start no Ray and no server
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow and not bench"

lint: .venv/installed  ## style, formatting and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

bench: .venv/installed  ## the measured ratios, one table a benchmark
	$(BIN)/python -m pytest tests/bench -s -m bench

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --no-compile $(torch_index) "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --no-compile -c constraints.txt -e '.[dev]'
	touch $@
