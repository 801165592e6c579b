# make search   the main job, from nothing: images in, a front of measured networks out
# make test     all tests
# Both build .venv first if it is missing or older than what it is made of.
PYTHON ?= python3
ARGS ?= +search=efficientformer

.PHONY: search test lint
.DEFAULT_GOAL := search

search: .venv/.built
	.venv/bin/python -m orchestrator $(ARGS)

# Half of them wait for another process (a search, a browser), so two at once take little more.
test: .venv/.built
	.venv/bin/python -m pytest -n 2 --dist loadfile

lint: .venv/.built
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/oxlint orchestrator/report/page
	.venv/bin/oxfmt --check 'orchestrator/report/page/*.js'

# torch comes first, by its pinned version: left to a resolver, a CUDA build of gigabytes is taken.
.venv/.built: pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; assert (3, 11) <= sys.version_info < (3, 14), 'needs Python 3.11 to 3.13, found ' + sys.version.split()[0] + '; choose one with make PYTHON=python3.12 ...'"
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check $$(grep '^torch==' constraints.txt)
	.venv/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@
