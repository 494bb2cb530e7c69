# make demo: train, sample and evaluate, on digits that ship with scikit-learn.  make test: the suite.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
DEMO := runs/digits_ddpm

.PHONY: demo test lint install

demo: $(VENV)/installed
	$(RUN) scripts/train.py --config=configs/digits_ddpm.py --workdir=$(DEMO)
	$(RUN) scripts/sample.py --workdir=$(DEMO)
	$(RUN) scripts/evaluate.py --workdir=$(DEMO) --n=700 --bits_n=50 > $(DEMO)/eval.txt
	@sed '$$d' $(DEMO)/eval.txt
	@echo "Pictures: $(DEMO)/samples.png (a column per digit), process.png, process.gif"
	@echo "Next:     $(RUN) scripts/sample.py --workdir=$(DEMO) --guidance=2 --seed=1"

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
