# make demo: the main job on the embedded corpus.  make test: the tests.  make bench: speed and memory beside other
# toolkits.  Each installs what it needs, in the versions of locks/, which were tested together.
PYTHON ?= python3
BIN := .venv/bin
PYTHON_FOUND = $$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')

.PHONY: demo test test-newest test-long coverage bench docs lint lock update matrix clean

demo: .venv/ready
	$(BIN)/tasnet demo

# Files of tests are spread over two processes, each of which has one thread, in the order of tests/conftest.py.
PYTEST = python -m pytest -q --numprocesses 2 --dist loadfile --no-loadscope-reorder
test: .venv/ready
	$(BIN)/$(PYTEST)

# The same with the newest versions that setup.py allows: what somebody gets who installs today.
VERSIONS_OF = $(BIN)/uv pip freeze --quiet --exclude-editable --python
test-newest: .venv/ready
	$(PYTHON) -m venv .venv-newest
	$(BIN)/uv pip install --quiet --python .venv-newest/bin/python --upgrade --editable '.[demo,test]'
	$(VERSIONS_OF) .venv-newest/bin/python > .venv-newest/versions
	$(VERSIONS_OF) $(BIN)/python | grep -v '^uv==' > .venv/versions
	@if cmp .venv/versions .venv-newest/versions; then echo "The newest versions are those of the lock."; else \
	  .venv-newest/bin/python -m compileall -qq -j 2 .venv-newest/lib; \
	  .venv-newest/bin/$(PYTEST); fi

test-long: .venv/ready
	$(BIN)/python -m pytest -q -m long

# Which lines of the package the tests run.
coverage: .venv/ready
	$(BIN)/python -m pytest -q --cov --cov-report=term

# Its options go into BENCH: make bench BENCH=--quick
bench: .venv-bench/ready
	.venv-bench/bin/python -m benchmarks.speed $(BENCH)
	.venv-bench/bin/python -m benchmarks.speed.neighbour
	.venv-bench/bin/python -m benchmarks.live.streaming
	.venv-bench/bin/python -m benchmarks.speed.data_loading

# The documentation site, in build/site: its code blocks, commands and links are tested.
docs: .venv/ready browser/node_modules
	$(BIN)/python -m pytest -q tests/test_docs.py
	$(BIN)/mkdocs build --quiet

# The runtime of the page that separates in the browser; npm checks its hash. Needs Node.js.
browser/node_modules: browser/package-lock.json
	cd $(@D) && npm ci --omit=optional --ignore-scripts --no-audit --no-fund
	touch $@

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Resolve all versions again, the newest that setup.py allows, and test them.  One resolution serves both environments;
# locks/ keeps versions and hashes alone, which every package index and both pip and uv understand.
EXPORT = $(BIN)/uv export --quiet --frozen --no-emit-project --no-header --no-annotate --output-file
lock: .venv/ready
	$(BIN)/uv lock --quiet --upgrade
	$(EXPORT) locks/test.txt --extra demo --extra test
	$(EXPORT) locks/bench.txt --extra bench
	echo uv | $(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate \
	  --output-file locks/uv.txt -
	rm uv.lock

update: lock
	$(MAKE) test

# Does the wheel work with every Python of this machine, on the lock, the newest and the lowest versions?
matrix: .venv/ready
	$(BIN)/python -m tools.matrix $(MATRIX)

clean:
	rm -rf .venv .venv-bench .venv-newest build dist *.egg-info

.venv/ready: LOCK := locks/test.txt
# An environment of its own: Asteroid wants an old torchmetrics.
.venv-bench/ready: LOCK := locks/bench.txt

# uv, itself at a fixed version, installs the whole environment in seconds where pip takes minutes. Bytecode is compiled
# at once: where Python may not write it later, each process that a test starts would compile torch and SpeechBrain
# again, which doubles the time that a command takes to start.
.venv/ready .venv-bench/ready: setup.py pyproject.toml locks/uv.txt locks/test.txt locks/bench.txt
	@case "$(PYTHON_FOUND)" in 3.10|3.11|3.12|3.13|3.14) ;; \
	  *) echo "Python 3.10 to 3.14 is needed, $(PYTHON) is $(PYTHON_FOUND): try make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1;; esac
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/uv.txt
	$(@D)/bin/uv pip sync --quiet --compile-bytecode --require-hashes --python $(@D)/bin/python $(LOCK)
	$(@D)/bin/uv pip install --quiet --python $(@D)/bin/python --no-deps --no-build-isolation --editable .
	touch $@
