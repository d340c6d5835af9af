# make demo: the main job on the embedded corpus.  make test: the tests.  make bench: speed and memory beside other
# toolkits.  Each installs what it needs.
PYTHON ?= python3
BIN := .venv/bin
PYTHON_FOUND = $$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')

.PHONY: demo test test-long coverage bench lint clean

demo: .venv/ready
	$(BIN)/tasnet demo

# Files of tests are spread over two processes, each of which has one thread.
test: .venv/ready
	$(BIN)/python -m pytest -q --numprocesses 2 --dist loadfile

test-long: .venv/ready
	$(BIN)/python -m pytest -q -m long

# Which lines of the package the tests run.
coverage: .venv/ready
	$(BIN)/python -m pytest -q --cov --cov-report=term

# Its options go into BENCH: make bench BENCH=--quick
bench: .venv-bench/ready
	.venv-bench/bin/python -m benchmarks $(BENCH)
	.venv-bench/bin/python -m benchmarks.streaming
	.venv-bench/bin/python -m benchmarks.data

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf .venv .venv-bench build dist *.egg-info

.venv/ready: EXTRAS := demo,test
# An environment of its own: Asteroid wants an old torchmetrics.
.venv-bench/ready: EXTRAS := bench

# uv resolves and installs the whole environment in seconds where pip takes minutes.
.venv/ready .venv-bench/ready: setup.py
	@case "$(PYTHON_FOUND)" in 3.10|3.11|3.12) ;; \
	  *) echo "Python 3.10 to 3.12 is needed, $(PYTHON) is $(PYTHON_FOUND): try make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1;; esac
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(@D)/bin/uv pip install --quiet --python $(@D)/bin/python --editable '.[$(EXTRAS)]'
	touch $@
