# `make demo` and `make test` work from a bare clone: they set up what they need, once.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test lint check-code check-tests check-wheel venv system-packages screenshots bench clean

PYTHON ?= python3
BIN := .venv/bin
PYTEST_ARGS ?=
BENCH_ARGS ?=

help:
	@echo "make demo         denoise the real noisy image that comes with the package, and say where the pictures are"
	@echo "make test         everything CI checks: code, tests, wheel (PYTEST_ARGS='-k tiling' for a part of the tests)"
	@echo "make lint         style, types and import contracts only"
	@echo "make venv         set up .venv, with the pinned dependencies"
	@echo "make bench        measure speed, memory and quality, and write docs/benchmarks.md (BENCH_ARGS='--parts missing' to go on)"
	@echo "make screenshots  draw the pictures of the documentation"
	@echo "make clean        remove .venv, caches and builds"

demo: venv
	@$(BIN)/napari-ne-denoise demo --out demo-output

test: check-code check-wheel check-tests
	@echo "make: all checks passed"

lint: check-code

check-code: venv
	@echo "make: style"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo "make: types"
	@$(BIN)/mypy
	@echo "make: import contracts"
	@$(BIN)/lint-imports --no-logo

# Two processes of one thread each: tests of the window wait more than they compute, and what napari leaves behind of a hundred viewers
# slows the others down twentyfold, so that these come in processes of their own. Each has a screen of its own, since a screen has one
# mouse, one clipboard and one uppermost window. Code 5: PYTEST_ARGS chose no test of a part.
PYTEST := OMP_NUM_THREADS=1 scripts/with-display.sh scripts/with-display.sh $(BIN)/python -m pytest -p no:xvfb -n 2 --dist loadfile
check-tests: venv system-packages
	@echo "make: tests of the window"
	@$(PYTEST) $(PYTEST_ARGS) tests/gui || [ $$? = 5 ]
	@echo "make: tests of all else"
	@$(PYTEST) $(PYTEST_ARGS) --ignore=tests/gui tests || [ $$? = 5 ]

check-wheel: venv system-packages
	@scripts/check-wheel.sh $(BIN)/python

screenshots: venv system-packages
	@PYTHONPATH=. scripts/with-display.sh $(BIN)/python docs/make_screenshots.py

bench: .venv/bench-installed
	@$(BIN)/python -m benchmarks write $(BENCH_ARGS)

venv: .venv/installed

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	@echo "make: installing into .venv (once: a minute or two)"
	@$(BIN)/python -m pip install -qq -c constraints.txt -e ".[all,zarr,testing]"
	@touch $@

# BM3D is not among them: its licence is non-commercial. It is measured where its user has installed it.
.venv/bench-installed: .venv/installed
	@echo "make: installing what the benchmarks need"
	@$(BIN)/python -m pip install -qq -c constraints.txt -e ".[bench]"
	@touch $@

# A Debian without python3-venv has no ensurepip; then our own pip does its work.
.venv/bin/python:
	@echo "make: creating .venv"
	@$(PYTHON) -m venv .venv >/dev/null 2>&1 || { \
		$(PYTHON) -m venv --clear --without-pip .venv && \
		$(PYTHON) -m pip --python .venv/bin/python install -qq pip; }

system-packages:
	@scripts/system-packages.sh

clean:
	rm -rf .venv build dist demo-output htmlcov .coverage .*_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
