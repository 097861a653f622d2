# make demo               set up .venv for the runtime, run the main job, results in out/demo/
# make test               set up .venv for development, run lint, types, import rules and tests
# make test-all           the same with the slow tests, and other random examples each time
# make lint types imports single checks
# make wheels DIR=wheels  collect what an offline machine needs
# make train-tiny DATA=D  train the packaged model again (docs/train.md; SHARE=0.1: a tenth)
# make bench              every benchmark, against what others do; results in out/bench/
# make bench-docs         write docs/performance.md and the README's paragraph from out/bench/
# make bench-env          compile and install what they compare with (.venv-bench)
# make docs               write the generated part of docs/ again
# make clean              remove the environment and what the checks left
# Set-up happens once; it is done again when setup.py, constraints.txt or build_tools/setup_env.py
# changes, or when the folder is moved.
PYTHON ?= python3
VENV   ?= .venv
DIR    ?= wheels
BENCH_VENV ?= .venv-bench
BENCH_OUT ?= out/bench
BENCH_ARGS ?=
WORK   ?= runs/skyeye-tiny
SHARE  ?= 1
WORKERS ?= auto
PYTEST_ARGS ?=
RECIPES := skyeye_edge/training/recipes
BIN    := $(VENV)/bin
# A file's tests stay together, so that what they need is set up once.
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist loadfile
SETUP  := $(PYTHON) build_tools/setup_env.py --venv $(VENV)

.PHONY: help demo test test-all lint types imports wheels train-tiny bench bench-env bench-docs docs clean \
        setup-runtime setup-dev test-packages python

help:
	@sed -n '1,/^PYTHON/s/^# //p' Makefile

python:
	@command -v $(PYTHON) >/dev/null || { echo "No '$(PYTHON)' found. On Debian: sudo apt-get install python3 python3-venv" >&2; exit 1; }

setup-runtime: python
	@$(SETUP) runtime

setup-dev: python
	@$(SETUP) dev

test-packages:
	@sh build_tools/test_packages.sh

demo: setup-runtime
	@$(BIN)/skyeye-edge demo

lint: setup-dev
	@echo "== lint" && $(BIN)/ruff check . && $(BIN)/ruff format --check .

types: setup-dev
	@echo "== types" && $(BIN)/mypy

imports: setup-dev
	@echo "== import rules" && $(BIN)/lint-imports --no-logo

test: lint types imports test-packages
	@echo "== tests" && $(PYTEST) -m "not slow" $(PYTEST_ARGS)

test-all: lint types imports test-packages
	@echo "== tests, slow ones too" && $(PYTEST) --hypothesis-profile=explore $(PYTEST_ARGS)

wheels: python
	@$(SETUP) runtime --wheels $(DIR)

train-tiny: setup-dev
	@test -d "$(DATA)/rsicd" || { echo "make train-tiny DATA=DIR: DIR holds the data folders of docs/train.md" >&2; exit 2; }
	@mkdir -p $(WORK) && cp $(RECIPES)/skyeye-tiny.yaml $(WORK)/ && ln -sfn "$(abspath $(DATA))" $(WORK)/data
	@$(BIN)/python -m skyeye_edge.training.pretrain $(RECIPES)/skyeye-tiny-base.yaml "$(DATA)" -o $(WORK)/base --share $(SHARE)
	@$(BIN)/skyeye-edge train $(WORK)/skyeye-tiny.yaml --resume
	@rm -rf $(WORK)/checkpoint
	@$(BIN)/skyeye-edge merge $(WORK)/lora -o $(WORK)/checkpoint
	@$(BIN)/skyeye-edge export $(WORK)/checkpoint -o $(WORK)/bundle --replace

bench-env: python
	@$(PYTHON) build_tools/bench_env.py --venv $(BENCH_VENV)

bench: setup-dev bench-env
	@$(BIN)/python benchmarks/run_all.py -o $(BENCH_OUT) --bench-env $(abspath $(BENCH_VENV)) $(BENCH_ARGS)

bench-docs: setup-dev
	@$(BIN)/python benchmarks/tables.py $(BENCH_OUT) --readme README.md

docs: setup-dev
	@$(BIN)/python build_tools/cli_docs.py
	@$(BIN)/python build_tools/event_schema.py

clean:
	rm -rf $(VENV) .venv.lock build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
