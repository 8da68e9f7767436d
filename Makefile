# The developer interface; `make` alone lists the targets. Needs Python 3.11 or newer and make, nothing else.
# ARGS goes to the command behind run, test, bench and peers: make run ARGS="--session 60s", make test ARGS="-k reserve".

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
GENERATED := build/proto
# protoc with the project's plugins. google/rpc/*.proto come with the googleapis-common-protos wheel; --fatal_warnings
# turns an unused import into an error, which buf cannot see in an image.
PROTOC = PATH="$(CURDIR)/$(BIN):$$PATH" python -m grpc_tools.protoc --fatal_warnings --proto_path=proto \
	--proto_path="$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

.DEFAULT_GOAL := help
.PHONY: help setup run test bench peers check format lint types imports proto-lint proto-current proto house clean generated

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP) ## Make .venv with the exact versions of constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'stockgate needs Python 3.11 or newer as "$(PYTHON)". If it has another name: make setup PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo 'This Python cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt pip setuptools
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	@touch $@

run: $(STAMP) ## Run everything here: gateway, PostgreSQL, three platforms, their buyers
	$(BIN)/stockgate up $(ARGS)

# Many tests hold the product to seconds while three others use the same processors. What failed there is run a second
# time, and shown all the same: a test that needs it again and again is to be mended. What is computed gets no second try.
SECOND_TRY = --reruns 1 --rerun-exclude-path tests/domain --rerun-show-tracebacks -rR

test: $(STAMP) ## Run every test; four workers, each with its own PostgreSQL, for much of it is waiting
	$(BIN)/python -m pytest -n 4 --dist loadfile $(SECOND_TRY) $(ARGS)

bench: $(STAMP) ## Measure the gateway
	$(BIN)/python -m tests.bench $(ARGS)

# Needs the registries of pip and npm the first time, and node for half of them.
peers: $(STAMP) ## Have clients that others wrote talk to the sandboxes
	$(BIN)/python -m tests.peers $(ARGS)

check: lint types imports proto-lint proto-current house ## Everything a machine can judge without running the product

format: $(STAMP) ## Put Python and proto files into the house's format
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format
	$(BIN)/buf format --write

lint: $(STAMP) ## Format and lint of the Python files
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: $(STAMP) ## mypy, strict
	$(BIN)/mypy

imports: $(STAMP) ## Import contracts
	$(BIN)/lint-imports --no-logo

proto: generated ## Generate gateway/v1 from proto/
	rm -f gateway/v1/*_pb2*
	cp $(GENERATED)/gateway/v1/* gateway/v1/

# buf resolves no import outside its modules, and the wire uses google.rpc.Status; so buf reads what protoc has read.
proto-lint: $(STAMP) ## Format, lint and comments of the proto files
	$(BIN)/buf format --diff --exit-code
	@mkdir -p build
	@$(PROTOC) --include_imports --include_source_info --descriptor_set_out=build/proto.binpb proto/gateway/v1/*.proto
	$(BIN)/buf lint build/proto.binpb --path gateway

proto-current: generated ## gateway/v1 is what proto/ makes
	@diff -rq --exclude=__init__.py --exclude=__pycache__ $(GENERATED)/gateway/v1 gateway/v1 || { \
		echo 'gateway/v1 is not what proto/ makes: run make proto and commit the result' >&2; exit 1; }

generated: $(STAMP)
	@rm -rf $(GENERATED) && mkdir -p $(GENERATED)
	@$(PROTOC) --python_out=$(GENERATED) --mypy_out=quiet:$(GENERATED) proto/gateway/v1/*.proto
	@$(PROTOC) --grpc_python_out=$(GENERATED) --mypy_grpc_out=quiet:$(GENERATED) proto/gateway/v1/*_service.proto

house: $(STAMP) ## The house rules, and migrations equal to the tables
	$(BIN)/python -m pytest -q tests/test_house.py tests/test_migrations.py

clean: ## Remove what these targets made; the ledger's data stays
	rm -rf $(VENV) build *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find connectors gateway migrations tests -name __pycache__ -prune -exec rm -rf {} +
