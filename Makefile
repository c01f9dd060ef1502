# `make run` and `make test` set up whatever is missing; `make help` lists the rest.
.DEFAULT_GOAL := help
# Three test files in parallel, in the order of tests/conftest.py; the tests in a file share slow fixtures. One more than
# two cores, because tests wait for processes and ports; each worker takes up to 2 GB of memory.
WORKERS = -n 3 --dist loadfile --no-loadscope-reorder
.PHONY: help setup run ui watch-demo loop-demo test test-all test-faults test-cluster browser prometheus check lint types imports format bench bench-serving bench-ui bench-monitor bench-canary bench-experiments lock data shell golden \
    docs-pages images sbom clean \
    kind-up kind-demo kind-down minikube-up minikube-demo minikube-down

help: ## Print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

# An environment that does not work here, such as that of a copied checkout, is rebuilt.
.PHONY: $(shell bin/inside true 2>/dev/null || echo .venv/ready)

setup: .venv/ready ## Set up the environment: .venv, and a Debian 13 root on hosts with an older glibc
.venv/ready: requirements.lock setup.py docker/setup docker/debian-root
	@docker/setup

run: data ## Run the taxi pipeline, from raw data to a pushed model
	@bin/taxiway run chicago_taxi

ui: .venv/ready ## Show the runs in a browser; ARGS="--port 9000"
	@bin/taxiway ui $(ARGS)

watch-demo: data ## Serve the taxi model, replay trips, break a column, and see the alarm (two minutes)
	@bin/python -m taxiway.monitoring.demo

loop-demo: data ## The closed loop: a change, an alarm, a new model, a canary (four minutes); ARGS="--approve"
	@bin/python -m taxiway.loop.demo $(ARGS)

data: data/chicago_taxi/data.csv ## Get the Chicago taxi trips, as data.dvc describes them
data/chicago_taxi/data.csv: | .venv/ready
	@bin/python -m pipelines.chicago_taxi.data

test: data ## The tests (about eight minutes on two cores)
	@bin/python -m pytest -m "not slow and not faults" $(WORKERS) $(ARGS)

test-all: data browser prometheus ## Run the long tests too, as CI does
	@bin/python -m pytest -m "not faults" $(WORKERS) $(ARGS)

test-faults: data ## Run the fault tests in full: hundreds of kills, a thousand damaged files
	@bin/python -m pytest -m faults $(WORKERS) $(ARGS)

test-cluster: .venv/ready ## Manifests, pods and rights on a real Kubernetes API server, built once (15 minutes)
	@tests/cluster/run $(ARGS)

prometheus: ## Unpack Debian's Prometheus and Alertmanager for their tests, once
	@tests/taxiway/alerts/install >/dev/null

browser: ## Unpack Debian's Chromium for the browser tests, once
	@tests/browser/install >/dev/null

check: lint types imports test ## Run everything that CI runs except the long tests

lint: .venv/ready ## Check format and lint
	@bin/inside ruff format --check .
	@bin/inside ruff check .

types: .venv/ready ## Check types
	@bin/inside mypy

imports: .venv/ready ## Check the import layers
	@bin/inside lint-imports

format: .venv/ready ## Format the code
	@bin/inside ruff format .
	@bin/inside ruff check --fix .

bench: .venv/ready ## Compare Taxiway with TFX; ROWS=15002,150020 selects sizes
	@bin/python -m benchmarks.bench $(if $(ROWS),--rows $(ROWS)) $(ARGS)

bench-serving: .venv/ready ## Compare taxiway serve under load with a KServe server; ARGS="--parts latency,rows"
	@bin/python -m benchmarks.serving.__main__ $(ARGS)

bench-ui: .venv/ready ## Measure reports, and taxiway ui with 1,000 runs beside mlflow server; ARGS="--runs 100"
	@bin/python -m benchmarks.ui_reports
	@bin/python -m benchmarks.ui $(ARGS)

bench-monitor: .venv/ready ## Measure false alarms and power of the monitor beside Evidently and NannyML; ARGS="--windows 50"
	@bin/python -m benchmarks.monitoring.__main__ $(ARGS)

bench-canary: .venv/ready ## Measure how often canaries are judged rightly, and how soon they are back; ARGS="--runs 50 --real 2"
	@bin/python -m benchmarks.delivery.__main__ $(ARGS)

bench-experiments: .venv/ready ## Measure levels, power and regret of experiments beside theory and peers; ARGS="--runs 100"
	@bin/python -m benchmarks.experiments.__main__ $(ARGS)

kind-up: .venv/ready ## Create a kind cluster with Kubeflow Pipelines, the images and TF Serving
	@manifests/cluster kind up

kind-demo: .venv/ready ## Run the taxi pipeline on that cluster, and query the model that it pushed
	@manifests/cluster kind demo

kind-down: ## Remove the kind cluster and everything that it stored
	@manifests/cluster kind down

minikube-up: .venv/ready ## Like kind-up, with minikube
	@manifests/cluster minikube up

minikube-demo: .venv/ready ## Like kind-demo, with minikube
	@manifests/cluster minikube demo

minikube-down: ## Like kind-down, with minikube
	@manifests/cluster minikube down

lock: .venv/ready ## Update requirements.lock from the ranges in setup.py, and docker/packages/ for the images
	@bin/inside uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra dev \
	    --no-header --no-annotate --no-emit-index-url --upgrade setup.py --output-file requirements.lock
	@$(MAKE) --no-print-directory setup
	@bin/python docker/select_packages.py
	@bin/python docker/select_packages.py cuda | bin/inside uv pip compile --quiet --universal --python-version 3.11 \
	    --generate-hashes --no-deps --no-header --no-annotate --no-emit-index-url --upgrade - \
	    --output-file docker/packages/gpu.lock

golden: .venv/ready ## Compile pipelines and components into the committed YAML files
	@bin/python -m taxiway.dsl.definitions
	@for file in pipelines/*/pipeline.py; do \
	    name=$$(basename $$(dirname $$file)); bin/taxiway compile $$name -o pipelines/$$name/pipeline.yaml; done
	@bin/taxiway compile chicago_taxi --profile gpu --profile cluster -o pipelines/chicago_taxi/pipeline.gpu.yaml

docs-pages: .venv/ready ## Generate the reference pages of stages and commands in docs/reference/
	@bin/python docs/reference/stage_pages.py
	@bin/python docs/reference/cli_page.py

images: data ## Build the stages' images with Docker, Podman or Buildah, and start Podman's service
	@docker/images $(ARGS)

sbom: .venv/ready ## Write an SBOM and a provenance statement of each image to build/sbom/
	@bin/python docker/sbom.py

shell: .venv/ready ## Open a shell in the environment
	@bin/inside $${SHELL:-bash}

clean: ## Remove runs, artifacts and pushed models; the environment and the data stay
	rm -rf .taxiway served
