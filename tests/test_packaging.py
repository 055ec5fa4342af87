"""What a fresh machine relies on: cheap imports, pins without addresses, commands that exist."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib

import pytest

# what trains and what draws pages may take seconds to import; these may not
CHEAP = [
    "hyperperturb",
    "hyperperturb.cli",
    "hyperperturb.data",
    "hyperperturb.evaluation",
    "hyperperturb.models",
    "hyperperturb.models.inference",
    "hyperperturb.models.settings",
    "hyperperturb.plots",
    "hyperperturb.runs",
    "hyperperturb.runs.datasets",
    "hyperperturb.runs.launcher",
    "hyperperturb.runs.queue",
    "hyperperturb.runs.worker",
]
HEAVY = ("tensorflow", "keras", "streamlit", "umap", "scanpy")


def test_importing_costs_no_heavy_package():
    code = f"""
import importlib, sys
for module in {CHEAP!r}:
    importlib.import_module(module)
    heavy = [name for name in {HEAVY!r} if name in sys.modules]
    if heavy:
        sys.exit(f"{{module}} imports {{heavy}}")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_public_names_can_all_be_found(root):
    import hyperperturb.runs

    for name in hyperperturb.runs.__all__:
        assert getattr(hyperperturb.runs, name) is not None
    with pytest.raises(AttributeError):
        hyperperturb.runs.nothing  # noqa: B018
    assert "RunDirectory" in dir(hyperperturb.runs)


def test_nothing_in_the_package_imports_streamlit(root):
    for path in (root / "hyperperturb").rglob("*.py"):
        assert not re.search(r"^\s*(import|from) streamlit", path.read_text(encoding="utf-8"), re.M), path


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_pins_are_versions_and_nothing_else(root, name):
    for line in (root / name).read_text().splitlines():
        if line.startswith("#") or line == "-r requirements.txt":
            continue
        assert re.fullmatch(r"[a-z0-9.-]+==[0-9][A-Za-z0-9.+!]*", line), line


def test_the_pins_satisfy_what_the_project_asks_for(root):
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    pins = {}
    for name in ("requirements.txt", "requirements-dev.txt"):
        found = re.findall(r"^([a-z0-9.-]+)==(\S+)$", (root / name).read_text(), re.M)
        assert not {n for n, _ in found} & set(pins), "pinned twice"
        pins |= dict(found)
    asked = project["dependencies"] + project["optional-dependencies"]["dev"]
    for requirement in map(Requirement, asked):
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, requirement
    run_only = (root / "requirements.txt").read_text()
    assert "pytest==" not in run_only
    assert "hyperperturb" not in pins


def test_the_command_of_the_project_exists(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    module, _, name = project["scripts"]["hyperperturb"].partition(":")
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert callable(getattr(importlib.import_module(module), name))


def test_make_lists_its_targets(root):
    done = subprocess.run(["make", "help"], cwd=root, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0
    for target in ("app", "test", "env", "clean", "screenshots", "requirements"):
        assert f"make {target} " in done.stdout


@pytest.mark.parametrize("script", [".ci/run", "scripts/make_environment.sh", "scripts/install_browser.sh"])
def test_shell_scripts_can_be_run_and_parse(root, script):
    path = root / script
    assert path.stat().st_mode & 0o111
    assert path.read_text().startswith("#!/usr/bin/env bash\n")
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0


def test_a_python_that_is_too_old_is_refused_in_a_sentence(root, tmp_path):
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.8.1\nexit 1\n')
    old.chmod(0o755)
    (tmp_path / "scripts").mkdir()
    script = tmp_path / "scripts" / "make_environment.sh"
    script.write_text((root / "scripts" / "make_environment.sh").read_text())
    done = subprocess.run(
        ["/bin/bash", str(script), "requirements.txt"],
        env={"PATH": f"{tmp_path}:/nowhere", "PYTHON": "python3"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr
    assert not (tmp_path / ".venv").exists()


FAKE_PYTHON = """#!/bin/bash
# a Debian Python whose venv module is in a package of its own: {folder}/installed stands for that package
case "$*" in
    *ensurepip*) test -e {folder}/installed ;;
    *"%d.%d"*) echo 3.11 ;;
    "-m venv"*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip"*) echo "pip ${{*:3}}" >> {folder}/calls ;;
esac
"""


@pytest.mark.parametrize("root_user", [True, False])
def test_a_debian_without_the_venv_module_gets_it_or_says_what_to_do(root, tmp_path, root_user):
    def program(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    tools = tmp_path / "bin"
    program(tools / "python3", FAKE_PYTHON.format(folder=tmp_path))
    program(tools / "id", f"#!/bin/bash\necho {0 if root_user else 1000}\n")
    program(
        tools / "apt-get",
        f'#!/bin/bash\necho "apt-get $*" >> {tmp_path}/calls\n[[ $1 != install ]] || touch {tmp_path}/installed\n',
    )
    script = tmp_path / "project" / "scripts" / "make_environment.sh"
    program(script, (root / "scripts" / "make_environment.sh").read_text())
    done = subprocess.run(
        ["/bin/bash", str(script), "requirements.txt"],
        env={"PATH": f"{tools}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    calls = (tmp_path / "calls").read_text() if (tmp_path / "calls").exists() else ""
    if root_user:
        assert done.returncode == 0, done.stderr
        assert "apt-get install -y -qq python3.11-venv" in calls
        assert "pip --quiet install -r requirements.txt" in calls
        assert "pip --quiet install --no-deps -e ." in calls
    else:
        assert done.returncode != 0
        assert "apt-get install python3.11-venv" in done.stderr
        assert calls == ""
        assert not (tmp_path / "project" / ".venv").exists()
