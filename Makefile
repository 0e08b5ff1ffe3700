# make demo   label a street scene with the default model, without torch
# make test   run all tests
# make test-without-torch   run the tests of the running half where torch is not installed
# make fuzz SECONDS=1200   read damaged files for so long; what is found is kept in build/fuzz/found
# make lint   check format, style and types

PYTHON ?= python3
SECONDS ?= 1200
SEED ?= 0
DEMO := .venv-demo/bin
DEV := .venv/bin
LIGHT := .venv-without-torch/bin
SOURCES := $(shell find src -type f -not -name '*.pyc')
SAMPLE := from importlib.resources import files; print(files("galago") / "assets/sample_scene.jpg")

.PHONY: help demo test test-without-torch fuzz lint

help:
	@sed -n 's/^# //p' Makefile

demo: .venv-demo/installed
	$(DEMO)/galago predict "$$($(DEMO)/python -c '$(SAMPLE)')" --out demo
	@echo "The labeled scene lies in $(CURDIR)/demo"

test: .venv/installed
	$(DEV)/python -m pytest -n 2 --dist loadfile

test-without-torch: .venv-without-torch/installed
	$(LIGHT)/python -c 'import importlib.util as u; assert not u.find_spec("torch")'
	$(LIGHT)/python -m pytest -n 2 --dist loadfile -q

fuzz: .venv/installed
	$(DEV)/python tests/fuzz/run.py --seconds $(SECONDS) --seed $(SEED)

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

.venv-without-torch/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-without-torch
	$(LIGHT)/python -m pip install --quiet --editable '.[coco,large,plot,onnxruntime,report,test]' --constraint constraints.txt
	@touch $@
