# `make app` serves the app, `make test` runs every check; both make what they need first.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
PY := $(VENV)/bin/python
PORT ?= 8501
PYTEST := $(PY) -m pytest --quiet --durations=10

# nobody's own settings may send packages elsewhere or mix other packages in
export PIP_USER := 0
export PIP_REQUIRE_VIRTUALENV := 0
export PIP_NO_INPUT := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export TF_CPP_MIN_LOG_LEVEL := 3
export PYTHONUNBUFFERED := 1
unexport PIP_TARGET PIP_PREFIX PIP_ROOT PYTHONHOME PYTHONPATH VIRTUAL_ENV

.PHONY: help
help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | while IFS=$$'\t' read -r name words; do printf '  make %-13s %s\n' "$$name" "$$words"; done

# the stamps are newer than what they were made from: a second start installs nothing
$(VENV)/.installed: requirements.txt pyproject.toml scripts/make_environment.sh
	@bash scripts/make_environment.sh requirements.txt
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	@bash scripts/make_environment.sh requirements-dev.txt
	@touch $@

.PHONY: env
env: $(VENV)/.installed ## make the environment in .venv and install HyperPerturb

.PHONY: dev
dev: $(VENV)/.installed-dev ## the same with the tools for tests

.PHONY: browser
browser: $(VENV)/.installed-dev ## install a browser for the tests, where there is none
	@bash scripts/install_browser.sh

.PHONY: app
app: $(VENV)/.installed ## serve the app on 127.0.0.1:8501 (PORT=8502 for another port)
	@exec $(VENV)/bin/hyperperturb app --port $(PORT)

.PHONY: lint
lint: $(VENV)/.installed-dev ## check style
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

.PHONY: test
test: lint browser ## run every check: style, fast tests, slow tests, tests in a browser
	$(PYTEST) -n 2 --dist loadfile -m "not slow and not browser"
	$(PYTEST) tests -n 2 --dist loadfile -m "slow and not browser"
	# what fails while two servers and two browsers share the machine must pass by itself
	$(PYTEST) tests/app -n 2 --dist loadfile -m browser || $(PYTEST) tests/app --last-failed -m browser

.PHONY: screenshots
screenshots: browser ## draw assets/screenshots anew
	$(PY) scripts/screenshots.py

.PHONY: requirements
requirements: $(VENV)/.installed-dev ## pin what is installed now in requirements.txt and requirements-dev.txt
	$(PY) scripts/pin_requirements.py

.PHONY: clean
clean: ## remove the environment and every cache; data and runs stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
