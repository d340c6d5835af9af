# make demo: the main job on the embedded corpus.  make test: the tests.  Both install what they need.
PYTHON ?= python3
BIN := .venv/bin
PYTHON_FOUND = $$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')

.PHONY: demo test test-long lint clean

demo: .venv/ready
	$(BIN)/tasnet demo

test: .venv/ready
	$(BIN)/python -m pytest -q

test-long: .venv/ready
	$(BIN)/python -m pytest -q -m long

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf .venv build dist *.egg-info

# uv resolves and installs the whole environment in seconds where pip takes minutes.
.venv/ready: setup.py
	@case "$(PYTHON_FOUND)" in 3.10|3.11|3.12) ;; \
	  *) echo "Python 3.10 to 3.12 is needed, $(PYTHON) is $(PYTHON_FOUND): try make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1;; esac
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[demo,test]'
	touch $@
