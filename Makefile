# `make run` and `make test` set up whatever is missing; `make help` lists the rest.
.DEFAULT_GOAL := help
# Files of tests at a time, in the order of tests/conftest.py; within a file they share what is slow to make. One more
# than two processors: some always waits for a process, a port or a disk. Each takes up to 2 GB.
WORKERS = -n 3 --dist loadfile --no-loadscope-reorder
.PHONY: help setup run test test-all test-faults check lint types imports format bench bench-serving lock data shell golden \
    docs-pages images sbom clean \
    kind-up kind-demo kind-down minikube-up minikube-demo minikube-down

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

# One that does not run here, as that of a copied checkout, is made again.
.PHONY: $(shell bin/inside true 2>/dev/null || echo .venv/ready)

setup: .venv/ready ## The environment: .venv, and a Debian 13 root on hosts with an older glibc
.venv/ready: requirements.lock setup.py docker/setup docker/debian-root
	@docker/setup

run: data ## The taxi pipeline, from raw data to a pushed model
	@bin/taxiway run chicago_taxi

data: data/chicago_taxi/data.csv ## The Chicago taxi trips, as data.dvc describes them
data/chicago_taxi/data.csv: | .venv/ready
	@bin/python -m pipelines.chicago_taxi.data

test: data ## The tests (under ten minutes on two cores)
	@bin/python -m pytest -m "not slow and not faults" $(WORKERS) $(ARGS)

test-all: data ## The long tests too, as CI runs them
	@bin/python -m pytest -m "not faults" $(WORKERS) $(ARGS)

test-faults: data ## Hundreds of kills, a thousand spoiled files: what the others do a few times
	@bin/python -m pytest -m faults $(WORKERS) $(ARGS)

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
	@bin/python -m benchmarks.serving.__main__ $(ARGS)

kind-up: .venv/ready ## A cluster of kind with Kubeflow Pipelines, the images and TF Serving
	@manifests/cluster kind up

kind-demo: .venv/ready ## The taxi pipeline on that cluster, and predictions of the model that it pushed
	@manifests/cluster kind demo

kind-down: ## Remove the cluster of kind and all that it has stored
	@manifests/cluster kind down

minikube-up: .venv/ready ## As kind-up, with minikube
	@manifests/cluster minikube up

minikube-demo: .venv/ready ## As kind-demo, with minikube
	@manifests/cluster minikube demo

minikube-down: ## As kind-down, with minikube
	@manifests/cluster minikube down

lock: .venv/ready ## Resolve setup.py's ranges anew: requirements.lock, and docker/packages/ for the images
	@bin/inside uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra dev \
	    --no-header --no-annotate --no-emit-index-url --upgrade setup.py --output-file requirements.lock
	@$(MAKE) --no-print-directory setup
	@bin/python docker/select_packages.py
	@bin/python docker/select_packages.py cuda | bin/inside uv pip compile --quiet --universal --python-version 3.11 \
	    --generate-hashes --no-deps --no-header --no-annotate --no-emit-index-url --upgrade - \
	    --output-file docker/packages/gpu.lock

golden: .venv/ready ## Compile pipelines and components into the YAML files that are committed
	@bin/python -m taxiway.dsl.definitions
	@for file in pipelines/*/pipeline.py; do \
	    name=$$(basename $$(dirname $$file)); bin/taxiway compile $$name -o pipelines/$$name/pipeline.yaml; done
	@bin/taxiway compile chicago_taxi --profile gpu --profile cluster -o pipelines/chicago_taxi/pipeline.gpu.yaml

docs-pages: .venv/ready ## Write docs/stages/ and docs/cli.md from docstrings and the commands' help
	@bin/python docs/stage_pages.py
	@bin/python docs/cli_page.py

images: data ## The images of the stages, by Docker, Podman or Buildah, and what a run in them needs
	@docker/images $(ARGS)

sbom: .venv/ready ## What is in each image, and what it was built from, in build/sbom/
	@bin/python docker/sbom.py

shell: .venv/ready ## A shell inside the environment
	@bin/inside $${SHELL:-bash}

clean: ## Remove runs, artifacts and pushed models; the environment and the data stay
	rm -rf .taxiway served
