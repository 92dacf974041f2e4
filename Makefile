# Every target sets this machine up by itself: testbed/run installs what is missing, then runs the command.
run := testbed/run
.DEFAULT_GOAL := help
.PHONY: help setup images demo demo-deploy demo-shell demo-down test test-fast test-unit test-faults lint sanity molecule bench clean

help: ## print this list
	@grep -hE '^[a-z%-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: ## install what is missing on this machine: apt packages, Docker, .cache/venv
	@testbed/setup.sh

images: ## build the test hosts' images, each once
	@$(run) testbed/images/build.sh

demo: ## bare hosts to live HTTPS apps; ends with a curl command to paste
	@$(run) testbed/demo.sh

demo-deploy: ## deploy the next version of the demo's first app, without dropping a request
	@$(run) ansible-playbook deploy.yml -i inventories/demo -e app=ledger -e ledger_version=1.1.0

demo-shell: ## a root shell on the demo's web host
	@$(run) docker exec -it quayside-demo-web bash

demo-down: ## remove the demo: containers, network, keys
	@$(run) ansible-playbook testbed/down.yml -i inventories/demo

test: test-fast ## every test
	@$(MAKE) --no-print-directory -j2 images sanity
	@$(MAKE) --no-print-directory molecule
	@echo "all tests passed"

test-fast: lint test-unit ## lint, types, unit and template tests: no container

lint: ## ansible-lint, yamllint, ruff, mypy, shellcheck, changelog, docs
	@$(run) --python tools/lint.sh

test-unit: ## unit and template tests
	@$(run) --python pytest -q -n auto tests

test-faults: images ## kill deploys, FAULTS=120 times, and let backups meet BACKUP_FAULTS=60; SEED= sets which
	@$(run) testbed/faults/run.py
	@$(run) testbed/faults/backups/run.py

sanity: ## ansible-test and galaxy-importer on the built artifact
	@$(run) --python tools/sanity.sh
	@$(run) --python tools/galaxy_import.sh

molecule: images ## every molecule scenario, on Debian 12 and 13
	@$(run) testbed/scenarios.py

molecule-%: images ## one scenario: molecule-nginx
	@$(run) testbed/scenarios.py $*

bench: images ## measure: medians as a table and as JSON
	@$(run) bench/run.py

clean: demo-down ## remove the demo and everything below .cache
	@rm -rf .cache
