# `make demo` and `make test` work in a fresh clone that has python3, git and make.
.DELETE_ON_ERROR:
.PHONY: demo test test-long check bench lock mlflow-ui

BIN := .venv/bin
CORES ?= $(shell python3 -c "import os; print(os.cpu_count())")
# No tool phones home, those that trueframe does not start included.
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true
export PATH := $(CURDIR)/$(BIN):$(PATH)

# The environment, made again when the lock or the project's metadata change. Compiled at once: every job imports much of
# it, and where PYTHONDONTWRITEBYTECODE is set would compile it each time.
.venv/ready: requirements.lock pyproject.toml
	python3 -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

# Raw videos to a submission, with the data that the project makes itself.
demo: .venv/ready
	test -d data/raw || trueframe demo-data
	snakemake --cores $(CORES) submission
	@trueframe summary

test: .venv/ready
	$(BIN)/pytest -n $(CORES) --dist worksteal -m "not long"

# The same code with full counts.
test-long: .venv/ready
	$(BIN)/pytest -n $(CORES) --dist worksteal

check: .venv/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

bench: .venv/ready
	$(BIN)/python benchmarks/run.py

lock: .venv/ready
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra dev \
		--output-file requirements.lock pyproject.toml

mlflow-ui: .venv/ready
	$(BIN)/mlflow ui --host 127.0.0.1 --backend-store-uri $${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}
