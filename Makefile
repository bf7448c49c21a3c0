# Every command of the project. `make` alone says what there is.
PYTHON ?= python3
TESTS ?=
MARK ?= not slow
BENCH ?=
export PYTHONUNBUFFERED = 1

.DEFAULT_GOAL := help
.PHONY: help run test bench lint format check screenshots schema requirements clean

help: ## say what there is
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

.venv/installed: requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch .venv/installed

.venv/bench: .venv/installed requirements/bench.txt
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	@touch .venv/bench

run: .venv/installed ## start everything and print the URL; Ctrl-C stops it
	@exec .venv/bin/python -m ledger_project.run

test: .venv/installed ## run the tests without their long forms, on servers of its own (TESTS=path to choose, MARK= for all)
	.venv/bin/python -m pytest --numprocesses 3 --dist worksteal --quiet -m "$(MARK)" $(TESTS)

bench: .venv/bench ## measure every figure of the README (BENCH="--quick" or "--only NAME" for a part)
	.venv/bin/python -m benchmarks $(BENCH)

lint: .venv/installed ## ruff, ruff format, mypy
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy .

format: .venv/installed ## let ruff mend what it can
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

check: lint ## what CI runs: lint, and every test with the long forms
	@$(MAKE) --no-print-directory test MARK=

screenshots: .venv/installed ## take the README's pictures anew, on servers of its own, with the system's Chromium
	.venv/bin/python -m office.tests.pictures

schema: .venv/installed ## write docs/openapi.yaml anew
	DJANGO_SETTINGS_MODULE=ledger_project.settings.test .venv/bin/python manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

requirements: .venv/installed ## compile requirements/*.in, with hashes
	@for name in base production dev bench; do \
		.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
			requirements/$$name.in --output-file requirements/$$name.txt || exit 1; \
	done

clean: ## remove the environment and the local data
	rm -rf .venv var staticfiles .mypy_cache .ruff_cache .hypothesis
