# `make demo` and `make test` set up what they need; a Python 3.11 or newer with its venv module is all they ask for.
PYTHON ?= python3
BIN := .venv/bin
INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes

.PHONY: demo run test test-full lint docs lock sbom image browser proxies deploy-check bench chaos screenshots clean

demo: .venv/installed
	$(BIN)/python -m demo

run: .venv/installed
	$(BIN)/python -m jobs up

# What every change is tried with: all modules, on a real database and Redis, and people's ways in the browser. The two
# stages together are all tests, as is `python -m pytest`. A third worker has the cores while two wait; and a hundred
# processes are started, that all would compile for themselves.
PYTEST := $(BIN)/python -m pytest -n 3 --dist worksteal

test: .venv/installed-dev browser
	$(BIN)/python -m compileall -q receiver jobs
	$(PYTEST) -m "not full" --hypothesis-profile short

# The rest: whole stacks, each page in the browser, short chaos, what is large or slow, and every property at length.
test-full: .venv/installed-dev browser
	$(BIN)/python -m compileall -q receiver jobs
	$(PYTEST) -m "full or hypothesis"

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/djlint --quiet --lint receiver/web/dashboard/templates
	$(BIN)/python -m tests.links

# The documents as a site, in site/; a link that leads nowhere fails. The pages that are made of the code are written anew.
docs: .venv/installed-dev
	$(BIN)/python -m demo.reference
	$(BIN)/python -m jobs sources docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

screenshots: .venv/installed-dev browser
	$(BIN)/python -m demo.screenshot docs/images/pages

# Finds a Chromium or Chrome, or installs one, or says in one line what to do, before a test runs.
browser: .venv/installed-dev
	@$(BIN)/python -m demo.browser

# Every version and hash anew from what requirements.txt and requirements-dev.txt pin; with UPGRADE=1, the newest of the rest.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

lock: .venv/installed-dev
	$(LOCK) requirements.txt --output-file requirements.lock
	$(LOCK) requirements-dev.txt --constraint requirements.lock --output-file requirements-dev.lock

# The newest release in CHANGELOG.md, as receiver/lib/version.py reads it.
VERSION := $(shell awk '/^.. [0-9]+[.][0-9]+[.][0-9]+ /{print $$2; exit}' CHANGELOG.md)
SBOM ?= sbom.cdx.json

# What the image holds, as a bill of materials: every package of requirements.lock, with its hashes, in CycloneDX.
sbom: .venv/installed-dev
	@sed 's/^dynamic = .*/version = "$(VERSION)"/' pyproject.toml > $(SBOM).toml
	@$(BIN)/cyclonedx-py requirements requirements.lock --pyproject $(SBOM).toml --mc-type application \
		--output-reproducible --output-file $(SBOM); status=$$?; rm $(SBOM).toml; exit $$status

image:
	docker build --build-arg VERSION=$(VERSION) --tag ticket-attribution:$(VERSION) .

proxies: .venv/installed-dev
	$(BIN)/python -m tests.proxies

# The Helm chart by Helm 3 and 4 and Kubernetes' schemas, the alerts and the board by promtool, which must be there.
deploy-check: .venv/installed-dev .venv/deploy/installed
	$(BIN)/python -m pytest -n 2 tests/deploy/checks.py

bench: .venv/installed-dev
	$(BIN)/python -m benchmarks

chaos: .venv/installed-dev
	$(BIN)/python -m chaos

clean:
	rm -rf .venv .mypy_cache .ruff_cache .hypothesis site

.venv/installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv .venv \
		|| { echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	$(INSTALL) -r requirements.lock
	@touch $@

.venv/installed-dev: requirements-dev.lock .venv/installed
	$(INSTALL) -r requirements-dev.lock
	@touch $@

.venv/deploy/installed: tests/deploy/requirements.txt .venv/installed-dev
	@rm -rf .venv/deploy
	$(INSTALL) --no-deps --target .venv/deploy -r tests/deploy/requirements.txt
	@$(BIN)/python -m tests.deploy.tools
	@touch $@
