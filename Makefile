# Every command of the project. `make` alone says what there is.
PYTHON ?= python3
TESTS ?=
MARK ?= not slow
FUZZ_SECONDS ?= 300
APPS = accounts ledger_project office transactions users manage.py
BENCH ?=
CHAOS ?=
export PYTHONUNBUFFERED = 1
unexport PYTHONDONTWRITEBYTECODE # the tests start a hundred programs: each would compile all modules anew

.DEFAULT_GOAL := help
.PHONY: help run test bench chaos lint format check fuzz audit sbom screenshots schema requirements clean

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

.venv/audit: .venv/installed requirements/audit.txt
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/audit.txt
	@touch .venv/audit

run: .venv/installed ## start everything and print the URL; Ctrl-C stops it
	@exec .venv/bin/python -m ledger_project.run

test: .venv/installed ## run the tests without their long forms, on servers of its own (TESTS=path to choose, MARK= for all)
	.venv/bin/python -m pytest --numprocesses 3 --quiet -m "$(MARK)" $(TESTS)

bench: .venv/bench ## measure every figure of the README (BENCH="--quick" or "--only NAME" for a part)
	.venv/bin/python -m benchmarks $(BENCH)

chaos: .venv/bench ## break what can break under load, and check that nothing is lost (CHAOS="--short" or "--breaks")
	@exec .venv/bin/python -m chaos $(CHAOS)

lint: .venv/installed ## ruff, ruff format, mypy, bandit
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy .
	.venv/bin/bandit --quiet --configfile pyproject.toml --severity-level medium --recursive $(APPS)

format: .venv/installed ## let ruff mend what it can
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

check: lint ## what CI runs: lint, and every test with the long forms
	@$(MAKE) --no-print-directory test MARK=

fuzz: .venv/installed ## try API and engine with many fresh cases: the API for FUZZ_SECONDS as each of two users
	FUZZ_SECONDS=$(FUZZ_SECONDS) .venv/bin/python -m pytest --quiet -m slow \
		ledger_project/tests/test_fuzz.py transactions/tests/test_state_machine.py transactions/tests/test_faults.py

audit: .venv/audit ## ask an advisory database for known holes in what production installs
	@.venv/bin/pip-audit --require-hashes --disable-pip --progress-spinner off -r requirements/production.txt || \
		{ echo "audit: either a hole is named above, or no advisory database could be asked, which proves nothing" >&2; exit 1; }

sbom: .venv/audit ## write sbom.json: what production installs, as CycloneDX
	.venv/bin/cyclonedx-py requirements --output-reproducible --of JSON -o sbom.json requirements/production.txt

screenshots: .venv/installed ## take the README's pictures anew, on servers of its own, with the system's Chromium
	.venv/bin/python -m office.tests.pictures

schema: .venv/installed ## write docs/openapi.yaml anew
	DJANGO_SETTINGS_MODULE=ledger_project.settings.test .venv/bin/python manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

requirements: .venv/installed ## compile requirements/*.in, with hashes
	@for name in base production dev bench audit; do \
		.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
			requirements/$$name.in --output-file requirements/$$name.txt || exit 1; \
	done

clean: ## remove the environment and the local data
	rm -rf .venv var staticfiles .mypy_cache .ruff_cache .hypothesis
