# `make demo` and `make test` set up what they need; a Python 3.11 or newer with its venv module is all they ask for.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo run test lint bench chaos screenshots clean

demo: .venv/installed
	$(BIN)/python -m demo

run: .venv/installed
	$(BIN)/python -m jobs up

# A third worker has the cores while two wait; and a hundred processes are started, that all would compile for themselves.
test: .venv/installed-dev
	$(BIN)/python -m compileall -q receiver jobs
	$(BIN)/python -m pytest -n 3 --dist worksteal

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

screenshots: .venv/installed-dev
	$(BIN)/python -m demo.screenshot docs/pages

bench: .venv/installed-dev
	$(BIN)/python -m benchmarks

chaos: .venv/installed-dev
	$(BIN)/python -m tests.chaos

clean:
	rm -rf .venv .mypy_cache .ruff_cache .hypothesis

.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv .venv \
		|| { echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
