# `make run` and `make test` set up whatever is missing; `make help` lists the rest.
.DEFAULT_GOAL := help
# Two files of tests at a time; within a file they share what is slow to make.
WORKERS = -n 2 --dist loadfile
.PHONY: help setup run test test-all check lint types imports format bench bench-serving lock data shell golden docs-pages clean

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: .venv/ready ## The environment: .venv, and a Debian 13 root on hosts with an older glibc
.venv/ready: requirements.lock setup.py docker/setup docker/debian-root
	@docker/setup

run: data ## The taxi pipeline, from raw data to a pushed model
	@bin/taxiway run chicago_taxi

data: data/chicago_taxi/data.csv ## The Chicago taxi trips, as data.dvc describes them
data/chicago_taxi/data.csv: | .venv/ready
	@bin/python -m taxiway.taxi_data

test: data ## The tests (under ten minutes on two cores)
	@bin/python -m pytest -m "not slow" $(WORKERS) $(ARGS)

test-all: data ## All tests, the long ones too
	@bin/python -m pytest $(WORKERS) $(ARGS)

check: lint types imports test ## Everything that CI runs but the long tests

lint: .venv/ready ## Format and lint
	@bin/inside ruff format --check .
	@bin/inside ruff check .

types: .venv/ready ## Types
	@bin/inside mypy

imports: .venv/ready ## Who may import whom
	@bin/inside lint-imports

format: .venv/ready ## Format the code
	@bin/inside ruff format .
	@bin/inside ruff check --fix .

bench: .venv/ready ## Taxiway beside TFX; ROWS=15002,150020 chooses sizes
	@bin/python -m benchmarks.bench $(if $(ROWS),--rows $(ROWS)) $(ARGS)

bench-serving: .venv/ready ## taxiway serve under load, beside a KServe model server; ARGS="--parts latency,rows"
	@bin/python -m benchmarks.serving $(ARGS)

lock: .venv/ready ## Resolve setup.py's ranges anew into requirements.lock
	@bin/inside uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra dev \
	    --no-header --no-annotate --no-emit-index-url --upgrade setup.py --output-file requirements.lock

golden: .venv/ready ## Compile pipelines and components into the YAML files that are committed
	@bin/python -m components.definitions
	@for file in pipelines/*/pipeline.py; do \
	    name=$$(basename $$(dirname $$file)); bin/taxiway compile $$name -o pipelines/$$name/pipeline.yaml; done

docs-pages: .venv/ready ## Write docs/stages/ from the stages' docstrings
	@bin/python docs/stage_pages.py

shell: .venv/ready ## A shell inside the environment
	@bin/inside $${SHELL:-bash}

clean: ## Remove runs, artifacts and pushed models; the environment and the data stay
	rm -rf .taxiway served
