# Eleven commands; each works from a fresh clone, alone.
PYTHON ?= python3
VARIANT ?= cpu
ARGS ?=

BIN := .venv/bin
DEV := .venv/.stamp-dev
RUN := .venv/.stamp-run
# Whoever develops has all that a user needs.
ifneq ($(wildcard $(DEV)),)
  RUN := $(DEV)
endif

.DEFAULT_GOAL := dev
.PHONY: dev lint fix test serve train export image demo bench benchmark

dev: $(DEV)  ## everything, editable

lint: $(DEV)  ## what must be clean before a commit
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(DEV)  ## mend what can be mended
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

test: $(DEV)  ## all tests: no network, no GPU, no account
	$(BIN)/pytest --numprocesses logical --maxprocesses 4 --dist loadfile $(ARGS)

serve: $(RUN)  ## the HTTP API at http://127.0.0.1:8000/docs
	$(BIN)/touchstone serve $(ARGS)

demo: $(RUN)  ## the sample photos, examined
	$(BIN)/touchstone demo $(ARGS)

train: $(DEV)  ## see training/README.md
	$(BIN)/python -m touchstone_training train $(ARGS)

export: $(DEV)  ## a trained run to models/
	$(BIN)/python -m touchstone_training export $(ARGS)

bench: $(DEV)  ## how fast, stage by stage
	$(BIN)/python -m touchstone_training bench $(ARGS)

benchmark: $(DEV)  ## how right, beside two peers; ARGS="--data DIR"
	$(BIN)/python -m touchstone_training benchmark $(ARGS)

image:  ## the container image; VARIANT=gpu for CUDA
	docker build --build-arg VARIANT=$(VARIANT) --tag touchstone:$(VARIANT) .

$(BIN)/python:
	$(PYTHON) -m venv .venv

# `--group` came with pip 25.1.
$(DEV): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet -e '.[cpu,training,postgres,parquet,s3]'
	$(BIN)/python -m pip install --quiet --group dev
	touch $@

.venv/.stamp-run: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[cpu]'
	touch $@
