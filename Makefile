# make demo   label a street scene with the default model, without torch
# make test   run all tests
# make lint   check format, style and types

PYTHON ?= python3
DEMO := .venv-demo/bin
DEV := .venv/bin
SOURCES := $(shell find src -type f -not -name '*.pyc')
SAMPLE := from importlib.resources import files; print(files("galago") / "assets/sample_scene.jpg")

.PHONY: help demo test lint

help:
	@sed -n 's/^# //p' Makefile

demo: .venv-demo/installed
	$(DEMO)/galago predict "$$($(DEMO)/python -c '$(SAMPLE)')" --out demo
	@echo "The labeled scene lies in $(CURDIR)/demo"

test: .venv/installed
	$(DEV)/python -m pytest -n 2 --dist loadfile

lint: .venv/installed
	$(DEV)/ruff format --check
	$(DEV)/ruff check
	$(DEV)/mypy

.venv-demo/installed: pyproject.toml $(SOURCES)
	$(PYTHON) -m venv .venv-demo
	$(DEMO)/python -m pip install --quiet .
	@touch $@

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(DEV)/python -m pip install --quiet --editable '.[train,export,dev]' --constraint constraints.txt
	@touch $@
