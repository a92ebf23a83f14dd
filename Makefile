# Two commands do everything: `make deploy` and `make test`. `make` alone lists the rest.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The newest Python that ansible supports; a pyenv version counts although it is not the global one.
versions := 3.13 3.12 3.11
PYTHON ?= $(firstword $(foreach v,$(versions),$(wildcard $(HOME)/.pyenv/versions/$(v).*/bin/python) \
            $(shell python$(v) -c 'import sys; print(sys.executable)' 2>/dev/null)))
INVENTORY ?= inventories/local
bin := .venv/bin
results := .cache/test
local_kubeconfig := /var/lib/hsc-jit-local/kubeconfig
play = ANSIBLE_CONFIG=ansible.cfg $(bin)/ansible-playbook -i $(INVENTORY) $(ARGS)
pytest = ANSIBLE_CONFIG=ansible.cfg $(bin)/pytest -q

help: ## this list
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "  \033[36m%-14s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST) | \
	  if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi

deploy: env ## environment, local cluster, images, the whole checklist, verified (INVENTORY=..., ARGS="--check --diff")
	$(play) deploy.yml

test: check test-service cluster test-molecule test-cluster ## everything that must pass before a merge (warm: 10 minutes)

test-all: test test-service-slow test-slow faults kills soak ## and what takes long: restores, full disks, dead nodes, three nodes, faults, autoscaling, a soak

check: env service-env ## lint, types and unit tests: under 90 seconds
	$(pytest) tests/unit tests/repo tests/contract -m "not cluster" -n 2 --junitxml=$(results)/check.xml

# worksteal, not loadfile: that one takes tests of one name for one test, and schemathesis names all operations of a document alike.
test-service: service-env service-servers ## the product's own tests, against a real Redis and a real PostgreSQL
	cd service && .venv/bin/python -m pytest -q -m "not slow" -n 3 --dist worksteal --junitxml=../$(results)/service.xml

test-service-slow: service-env service-servers ## those of them that wait for seconds, and the worker class that is for diagnosis
	cd service && .venv/bin/python -m pytest -q -m slow -n 2 --junitxml=../$(results)/service-slow.xml

test-cluster: env ## the phases and their failures on the local cluster (needs the product: make deploy)
	$(pytest) tests/contract tests/integration -m "not slow" -n 2 --dist loadfile --junitxml=$(results)/cluster.xml

test-slow: env ## the tests on the local cluster that take a minute or longer
	$(pytest) tests/integration -m slow --junitxml=$(results)/slow.xml

faults: env ## a small release, broken in every way we know; what was reported after how long into docs/faults.md (HSC_TEST_KUBECONFIG=...)
	$(pytest) tests/faults -m "not slow" --junitxml=$(results)/faults.xml
	@{ cat tests/faults/table.md; echo; cat $(results)/faults.md; } > docs/faults.md

kills: env ## deployments ended where each phase is at work, and at HSC_KILLS=20 random moments: over 45 minutes; into docs/kills.md
	HSC_KILLS=$${HSC_KILLS:-20} $(pytest) tests/faults/test_interrupted.py --junitxml=$(results)/kills.xml
	@{ cat tests/faults/kills.md; echo; cat $(results)/faults.md; } > docs/kills.md

soak: env ## a thousand answers while parts of the deployed product are killed, and load on it, autoscaling: a quarter of an hour
	$(pytest) -s tests/soak --junitxml=$(results)/soak.xml

test-molecule: env ## molecule's scenarios: the product deployed twice, and looked at from inside its pods
	$(pytest) tests/scenarios --junitxml=$(results)/molecule.xml

cluster: env ## start the local Kubernetes, or repair it
	$(play) playbooks/local_cluster.yml

down: env ## stop the local Kubernetes and keep its data; `make cluster` or `make deploy` starts it again
	$(play) playbooks/local_cluster.yml -e local_cluster_state=stopped

destroy: env ## remove the local Kubernetes and everything it made (the build cache stays)
	$(play) playbooks/local_cluster.yml -e local_cluster_state=absent

kubeconfig: ## print the path of the local cluster's kubeconfig
	@test -f $(local_kubeconfig) || { echo "There is no local cluster yet. Run: make cluster" >&2; exit 1; }
	@echo $(local_kubeconfig)

# The image under load: of the local product what runs there.
URL ?= http://127.0.0.1:8000
USERS ?= 120
SECONDS ?= 60
IMAGE ?= $(shell $(dir $(local_kubeconfig))bin/kubectl --kubeconfig $(local_kubeconfig) -n hsc-jit get deployment hsc-jit-backend \
  -o jsonpath='{.spec.template.spec.containers[0].image}' 2>/dev/null)
load: .cache/load/venv/.made ## Locust: USERS people for SECONDS on URL; QG-03 reads the report (IMAGE=... for another environment)
	@test -n "$(IMAGE)" || { echo "Which image is under load? make load URL=... IMAGE=<registry>/hsc-jit-service@sha256:..." >&2; exit 2; }
	HSC_LOAD_IMAGE=$(IMAGE) HSC_LOAD_REPORT=.cache/load/$$(date -u +%Y%m%dT%H%M%SZ).json .cache/load/venv/bin/locust -f service/bench/locustfile.py \
	  --headless --only-summary --host $(URL) -u $(USERS) -r 20 -t $(SECONDS)s

.cache/load/venv/.made: requirements/load.txt | .venv/.made
	$(PYTHON) -m venv --clear .cache/load/venv
	$(bin)/uv pip install --quiet --python .cache/load/venv/bin/python --require-hashes -r requirements/load.txt
	@touch $@

op-%: env ## operations: make op-restart, op-celery, op-flush, op-logs, op-scale, op-drain (ARGS="-e component=worker -e replicas=2")
	$(play) playbooks/operate.yml -e operation=$*

dashboards: env ## draw the dashboards from the live Prometheus into evidence/dashboards/ (ARGS="-e hours=24")
	$(play) playbooks/dashboards.yml

render: env ## write the manifests for kubectl: the local ones into kubernetes/local/, production's into kubernetes/
	$(play) playbooks/render.yml

docs: env ## regenerate what is generated: docs/CHECKLIST.md, and docker-compose's dashboard from kubernetes/monitoring.yaml
	PYTHONPATH=.collections $(bin)/python -c 'from ansible_collections.hsc.jit.plugins.module_utils import _checklist; \
	  print(_checklist.as_markdown(), end="")' > docs/CHECKLIST.md
	$(bin)/python -c 'import yaml; print(*(one["data"]["overview.json"] for one in yaml.safe_load_all(open("kubernetes/monitoring.yaml")) \
	  if one["metadata"]["name"] == "hsc-jit-dashboards"), end="")' > service/compose/grafana/overview.json

format: env ## let ruff format and fix what it can
	$(bin)/ruff check --fix . ; $(bin)/ruff format .

lock: env ## make the locks again from requirements/*.in and service/pyproject.toml
	cd requirements && for name in uv controller dev load; do ../$(bin)/uv pip compile -q --universal --generate-hashes \
	  --python-version 3.11 --no-emit-index-url --no-header --upgrade $$name.in -o $$name.txt || exit 1; done
	cd service && for group in "-o requirements.txt" "--group dev -c requirements.txt -o requirements-dev.txt"; do ../$(bin)/uv pip compile -q --universal \
	  --generate-hashes --python-version 3.11 --no-emit-index-url --no-header --upgrade pyproject.toml $$group || exit 1; done

env: .venv/.made ## the controller's environment in .venv
.venv/.made: requirements/uv.txt requirements/dev.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 found. Install one (apt install python3 python3-venv) and run again."; exit 1; }
	$(PYTHON) -m venv --clear .venv || { apt-get install -y python3-venv && $(PYTHON) -m venv --clear .venv; }
	$(bin)/pip install --quiet --require-hashes -r requirements/uv.txt
	$(bin)/uv pip install --quiet --python $(bin)/python --compile-bytecode --require-hashes -r requirements/dev.txt
	mkdir -p .collections/ansible_collections/hsc && ln -sfn ../../.. .collections/ansible_collections/hsc/jit
	@touch $@

service-env: service/.venv/.made ## the product's environment in service/.venv
service/.venv/.made: service/requirements-dev.txt | .venv/.made
	$(PYTHON) -m venv --clear service/.venv
	$(bin)/uv pip install --quiet --python service/.venv/bin/python --compile-bytecode --require-hashes -r service/requirements-dev.txt
	@touch $@

# RUNLEVEL=1 and no first cluster: the tests start servers of their own, Debian's packages shall not start one.
missing_servers = $(if $(shell command -v redis-server),,redis-server) $(if $(shell command -v chromium),,chromium) \
  $(if $(wildcard /usr/lib/postgresql/*/bin/postgres /usr/local/bin/postgres),,postgresql)
service-servers: ## what the product's tests run against, from Debian: Redis, PostgreSQL, Chromium
	@test -z "$(strip $(missing_servers))" || { apt-get update -qq && mkdir -p /etc/postgresql-common && \
	  { test -e /etc/postgresql-common/createcluster.conf || echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf; } && \
	  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(missing_servers); }

clean: ## remove environments and results, not the cluster
	rm -rf .venv .collections .cache service/.venv evidence kubernetes/local

.PHONY: help deploy test test-all check test-service test-cluster test-service-slow test-slow faults kills soak test-molecule cluster down destroy kubeconfig load dashboards render docs format lock env service-env service-servers clean
