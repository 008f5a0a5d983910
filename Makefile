# make demo    a first bundle and a running service, from nothing but Python 3.11 or newer
# make test    sets up, then lints, types and tests; what was skipped is listed with its reason
# make check   the linter, the formatter and the types alone
# make bench   measures every figure that the README prints, and writes its tables
# make clean   removes everything that these made

# The first Python that is new enough; PYTHON=... names another. An absolute path, so that a stale one is seen.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$name && break; done)
PORT ?= 8000
ARGS ?=
PY := .venv/bin/python
# ONNX Runtime's official builds send telemetry unless told otherwise before they are loaded.
export ORT_DISABLE_TELEMETRY := 1

# A .venv that works and was made here is kept; one whose interpreter has gone, or that was copied from elsewhere, is made anew.
HERE := $(CURDIR)
ifneq ($(shell $(PY) -c 'import pip, sys; print(sys.prefix)' 2>/dev/null),$(HERE)/.venv)
.PHONY: .venv/made
else ifneq ($(shell cat .venv/made 2>/dev/null || echo $(HERE)),$(HERE))
.PHONY: .venv/made
endif

.PHONY: demo test check bench clean

demo: .venv/train
	@$(PY) -m anytime.cli.main demo --port $(PORT) || test $$? = 130 # Ctrl-C is how it ends

test: .venv/test
	@deploy/system_programs.sh $(PY)
	@$(MAKE) --no-print-directory check
	$(PY) -m pytest -rs $(ARGS)

check: .venv/test
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

bench: .venv/test
	@deploy/system_programs.sh $(PY)
	$(PY) -m benchmarks $(ARGS)
	$(PY) docs/generate.py --write

clean:
	rm -rf .venv .demo .bench build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: written last, so that what was interrupted is done again; newer than what they come from, so that it is not done twice.
.venv/made:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer was found: install one, or name it with PYTHON=..."; exit 1; }
	@test ! -e $@ || rm -rf .venv
	@test "$$($(PY) -c 'import pip, sys; print(sys.prefix)' 2>/dev/null)" = "$(HERE)/.venv" || { rm -rf .venv; \
		"$(PYTHON)" -m venv .venv; } || { rm -rf .venv; \
		echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "$(HERE)" > $@

.venv/train: .venv/made pyproject.toml constraints.txt
	@echo "Installing what .[train] needs into .venv, once..."
	@$(PY) -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[train]'
	@touch $@

.venv/test: .venv/made pyproject.toml constraints.txt
	@echo "Installing what .[test] needs into .venv, once..."
	@$(PY) -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@ .venv/train
