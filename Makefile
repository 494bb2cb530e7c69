# make demo: DDPM, VDM and BFN on the digits inside scikit-learn, and a page.  make test: the suite.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
DEMO := runs/demo

.PHONY: demo test lint install

demo: $(VENV)/installed
	$(RUN) scripts/reproduce.py --table=demo --budget=cpu --workdir=$(DEMO) --report
	@echo "before the next command: source $(VENV)/bin/activate"

test: $(VENV)/installed
	$(RUN) -m pytest

lint: $(VENV)/installed
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .

install: $(VENV)/installed

# the tested versions; setup.py has the lower bounds
$(VENV)/installed: setup.py requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit("error: Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --requirement requirements.txt --editable '.[dev]'
	touch $@
