"""What the README shows as a command is run here, in its order, with less to pay for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from installing import run as python
from PIL import Image

from orchestrator.cli.composing import compose, compose_devices

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
# Appended to searches: the same story, one epoch, two candidates.
# One at a time: each worker more imports torch and runtimes for seconds of CPU.
CHEAPER = (
    "train.epochs=1 train.final_epochs=1 budget.candidates=2 budget.finalists=1 "
    "budget.concurrent=1 tracking=off"
)
# These install; tests/examples installs the same package elsewhere and searches it. Others ask for
# a machine of the reader's, for which tests/study/test_ssh_search.py has one.
ELSEWHERE = {"pip install -e examples/tiny_plugin", "python -m orchestrator +search=tiny"}


def shown() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.S)
    return [line for block in blocks for line in block.strip().splitlines()]


ELSEWHERE |= {line for line in shown() if "raspberrypi" in line}


def recipe(line: str) -> str:
    """What a make target runs last, the interpreter being this one."""
    command = [*line.split(), "--dry-run", "--no-print-directory"]
    # A make around this one must not be noticed.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    dry = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )
    assert dry.returncode == 0, dry.stderr
    return dry.stdout.strip().splitlines()[-1].replace(".venv/bin/python", "python")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos/CLASS/*.jpg, street/ with masks and mine.py, where a reader stands."""
    folder = tmp_path_factory.mktemp("reader")
    random = np.random.default_rng(0)
    for place, name in enumerate(("cat", "dog", "fox")):
        (folder / "photos" / name).mkdir(parents=True)
        for index in range(40):
            pixels = random.integers(0, 100, (40, 48, 3), dtype=np.uint8)
            pixels[..., place] += 120
            Image.fromarray(pixels).save(folder / "photos" / name / f"{index}.jpg")
    for part in ("images", "masks"):
        (folder / "street" / part).mkdir(parents=True)
    for index in range(40):
        mask = np.kron(random.integers(0, 3, (4, 5), dtype=np.uint8), np.ones((16, 16), np.uint8))
        pixels = random.integers(0, 100, (*mask.shape, 3), dtype=np.uint8)
        pixels[..., 0] += 70 * mask
        Image.fromarray(pixels).save(folder / "street" / "images" / f"{index}.jpg")
        Image.fromarray(mask).save(folder / "street" / "masks" / f"{index}.png")
    (folder / "mine.py").write_text(re.findall(r"```python\n(.*?)```", README, re.S)[0])
    return folder


def cheaper(search: str) -> str:
    """Without a teacher, too, unless the command itself says which compressors there are."""
    return f"{search} {CHEAPER}{'' if ' compressor=' in search else ' ~compressor.distillation'}"


def run(line: str, home: Path) -> str:
    python = f'"{sys.executable}" '
    line = re.sub(r"^python ", lambda _: python, line)
    done = subprocess.run(line, shell=True, cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("line", [line for line in shown() if line not in ELSEWHERE])
def test_a_command_of_the_readme_works(line: str, home: Path) -> None:
    command = recipe(line) if line.startswith("make ") else line
    if line == "make test":
        assert command == "python -m pytest -n 2 --dist loadfile"  # which is what runs this
        return
    searches = "+search=" in command and " plan " not in command
    assert run(cheaper(command) if searches else command, home).strip()


@pytest.mark.parametrize("line", sorted(line for line in ELSEWHERE if "raspberrypi" in line))
def test_what_asks_for_another_machine_is_composed(line: str) -> None:
    words = [word for word in line.split() if "=" in word]
    if "measure" in line:
        names = re.findall(r"--device (\w+)", line)
        assert list(compose_devices(names, words)) == names
        return
    device = compose(words).device["pi"]
    assert str(device.options["host"]).endswith("raspberrypi.local")
    assert device.place.name == "ssh"


def test_the_readme_shows_the_two_commands_first() -> None:
    assert shown()[:2] == ["make search", "make test"]
    assert recipe("make search") == "python -m orchestrator +search=efficientformer"


ASKED = """
from orchestrator.cli.composing import compose
from orchestrator.plugins import installed
config = compose(["+search=mobilenetv3", "objective=[accuracy,weight_bytes]"])
item = config.objective["weight_bytes"]
assert not installed().problems, installed().problems
print(type(installed().create("objective", item.name, item.options)).__name__, item.role)
"""


def test_the_plugin_guide_works_as_it_is_written(tmp_path: Path) -> None:
    entry = re.findall(r"```toml\n\[project\.entry-points\.(.*?)\]\n(.*?)```", README, re.S)[0]
    hooks, body = re.findall(r"```python\n(.*?)```", README, re.S)[1:3]
    yaml = re.findall(r"```yaml\n(.*?)```", README, re.S)[0]
    told = {
        "bytes-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: bytes\nVersion: 1\n",
        "bytes-1.dist-info/entry_points.txt": "[{}]\n{}".format(*entry).replace('"', ""),
        "orchestrator_bytes/__init__.py": hooks,
        "orchestrator_bytes/bytes.py": body,
        "orchestrator_bytes/conf/__init__.py": "",
        "orchestrator_bytes/conf/objective/weight_bytes.yaml": yaml,
    }
    for name, text in told.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert python(tmp_path, "-c", ASKED, cwd=tmp_path) == "WeightBytes objective\n"


def test_pictures_and_files_the_readme_names_exist() -> None:
    named = re.findall(
        r"\]\((docs/[^)]+)\)|`((?:benchmarks|examples|orchestrator)/[\w./]+)`", README
    )
    assert named
    assert [path for pair in named for path in pair if path and not (ROOT / path).exists()] == []
