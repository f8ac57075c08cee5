# Everything a person or a machine runs here. `make` alone lists the targets.
#
#   VENV=path      use another virtual environment than .venv
#   PYTHON=path    use this interpreter to create it (3.11 or newer)
#   JOBS=n         test processes (default 2)

VENV ?= .venv
PYTHON ?=
JOBS ?= 2
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Where tensors are, and what checks them there: tests/typecheck.py.
CHECKED := happyhorse.codec,happyhorse.model,happyhorse.flow,happyhorse.data,happyhorse.generate,happyhorse.train,typecheck.checked
PROMPT ?= a red ball bounces on a wooden floor

.PHONY: help demo test test-slow shapes lint types format docs docs-check studio nano wheel wheel-check clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

demo: $(VENV)/.installed ## install into .venv and make one clip
	@$(BIN)/happyhorse generate "$(PROMPT)" --seed 1 --output demo.mp4

test: $(VENV)/.test ## install the test tools and run the fast tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS)

test-slow: $(VENV)/.test ## run the tests that the fast suite leaves out
	@$(BIN)/python -m pytest -q -m slow

# torch.compile does not see through such checks, they hide from a warning who called, and refuse before the function can.
shapes: $(VENV)/.test ## check annotated shapes at each call
	@OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m pytest -q -n $(JOBS) -k "not compile and not warning_at_the_call and not wrong_arguments" \
	  --jaxtyping-packages=$(CHECKED) $(addprefix tests/,codec model flow data generate train)

lint: $(VENV)/.dev ## style, format and the import contract
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

format: $(VENV)/.dev ## rewrite the sources in the one format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(VENV)/.dev ## static types
	@$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(VENV)/.dev ## write the generated pages, then build site/
	@$(BIN)/python docs/generate.py
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "site/index.html"

docs-check: $(VENV)/.dev ## fail where a generated page is stale or a link is broken
	@$(BIN)/python docs/generate.py --check
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir $(VENV)/site

studio: studio/node_modules/.package-lock.json ## build the studio page anew, after a change in studio/ (needs Node)
	@npm --prefix studio run --silent build

studio/node_modules/.package-lock.json: studio/package.json studio/package-lock.json
	@npm --prefix studio ci --silent

nano: $(VENV)/.installed ## the whole life in minutes: world, codec, denoiser, student, decoder, super-resolution, clip
	@rm -rf runs/nano # from nothing, not from where an earlier run stopped
	@$(BIN)/happyhorse train codec --recipe recipes/nano.toml
	@$(BIN)/happyhorse train flow --recipe recipes/nano.toml
	@$(BIN)/happyhorse train distill --recipe recipes/nano.toml
	@$(BIN)/happyhorse train decoder --recipe recipes/nano.toml
	@$(BIN)/happyhorse train upscale --recipe recipes/nano.toml
	@$(BIN)/happyhorse generate "$(PROMPT)" --model runs/nano --seed 1 --output runs/nano/clip.mp4
	@$(BIN)/happyhorse eval --model runs/nano --clips 32 $(addprefix --family ,balls xylophone clock hammer) --source model \
	  --better-than-chance --workers 2 --output runs/nano/eval

wheel: $(VENV)/.dev ## build the distribution files into dist/
	@$(BIN)/python -m build --outdir dist

wheel-check: $(VENV)/.dev ## build a wheel, and see that it holds all that a clip needs
	@rm -rf $(VENV)/wheel && mkdir $(VENV)/wheel
	@$(BIN)/python -m build --wheel --outdir $(VENV)/wheel . >$(VENV)/wheel/log 2>&1 || { cat $(VENV)/wheel/log; exit 1; }
	@$(PIP) install -qq --no-deps --target $(VENV)/wheel/site $(VENV)/wheel/*.whl
	@cd $(VENV)/wheel && PYTHONPATH=site "$(abspath $(BIN)/python)" -m happyhorse generate "$(PROMPT)" --steps 1 --output clip.mp4

clean: ## remove what make created
	rm -rf $(VENV) build dist site .pytest_cache .ruff_cache .import_linter_cache

# An interpreter is taken only if it runs, is new enough, and can make virtual environments: a name on the PATH
# proves none of the three.
$(BIN)/python:
	@for python in $(PYTHON) python3.11 python3.12 python3.13 python3 python; do \
	  if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    echo "creating $(VENV) with $$python"; "$$python" -m venv $(VENV) && exit 0 || exit 1; \
	  fi; \
	done; \
	echo "happyhorse needs Python 3.11 or newer with the venv module, and none was found." >&2; \
	echo "Install one (for example: apt-get install python3.11 python3.11-venv), or name it: make PYTHON=/path/to/python3.11" >&2; \
	exit 1

# A stamp is older than pyproject.toml when the dependencies may have changed.
$(VENV)/.installed: $(BIN)/python pyproject.toml
	@echo "installing happyhorse into $(VENV) (torch alone is some 200 MB, so this takes a minute or more)"
	@$(PIP) install -qq --editable ".[speech]"
	@touch $@

$(VENV)/.test: $(VENV)/.installed
	@echo "installing the test tools"
	@$(PIP) install -qq --editable ".[speech,test]"
	@touch $@

$(VENV)/.dev: $(VENV)/.test
	@echo "installing the development tools"
	@$(PIP) install -qq --editable ".[dev]"
	@touch $@
