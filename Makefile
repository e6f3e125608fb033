# make video PROMPT="a red ball falls and bounces on a grey floor"   installs into .venv, then writes video.mp4
# make test                                                         the test suite, in the same environment
# make check                                                        formatting, lint and types
# Variables: PYTHON (3.11 to 3.13), PROMPT, OUT, ARGS (more options of `kinema generate`), VENV.

VENV ?= .venv
OUT ?= video.mp4
PROMPT ?= a red ball falls and bounces on a grey floor
# The first interpreter that runs, is new enough and can make environments; names alone prove nothing (pyenv's shims).
PYTHON ?= $(shell for python in python3.12 python3.11 python3 python3.13; do \
	"$$python" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
	>/dev/null 2>&1 && { echo "$$python"; break; }; done)

# A prompt may hold quotes and dollar signs: take it as typed and quote it once.
TYPED_PROMPT = '$(subst ','\'',$(value PROMPT))'

.PHONY: video test check clean

video: $(VENV)/.installed
	@$(VENV)/bin/kinema generate --out "$(OUT)" $(ARGS) -- $(TYPED_PROMPT)

test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2

check: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

$(VENV)/.installed: pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "make: no Python 3.11 to 3.13 with the venv module found: install one (Debian: python3 and python3-venv)" \
			"or name one: make PYTHON=/path/to/python3.12" >&2; exit 1; fi
	@echo "Installing kinema into $(VENV); the first time takes a few minutes …"
	@"$(PYTHON)" -m venv "$(VENV)"
	@"$(VENV)/bin/python" -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@"$(VENV)/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	@touch $@

clean:
	rm -rf "$(VENV)" .pytest_cache .mypy_cache .ruff_cache .hypothesis
