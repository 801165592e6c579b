"""What each compressor brings on each runtime, on real images.

    python benchmarks/compression.py --data FOLDER [--side 64] [--per-class 500] [--keep FOLDER]
        [--members shufflenetv2/1.0x …] [--runtimes onnxruntime openvino litert executorch …]

FOLDER holds train/ and test/ with one folder a class. One published member of each family is
trained once; then every compressor of `--compressors` is applied to that very network, pruned ones
fine-tuned as in a search, and all files of all installed runtimes answer the whole test split in
their own runtime and are timed in one interleaved session a family. Printed are accuracy, bytes,
multiply-adds and latency with its interval, as ratios to the network's own float file in the same
runtime and to the best float file of any runtime. What is fine-tuned trains longer than the
network it came of, so that one is trained on for as many epochs too (`longer`).

With `--keep` a network is trained once and read again, fine-tuned ones too. That folder is your
own: networks in it are Python pickles.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from orchestrator import Genotype, Latency, NetworkCompressor, Runtime, Step, Subject
from orchestrator.analysis.display import interval
from orchestrator.candidate.factory import Factory, seed_of
from orchestrator.candidate.treatment import Treatment
from orchestrator.candidate.variants import VariantFiles
from orchestrator.cli.composing import compose
from orchestrator.measuring.gate import host_gate, quiet
from orchestrator.plugins import installed
from orchestrator.training.building import draw_plain
from orchestrator.training.epochs import TrainRun, train
from orchestrator.training.scoring import leading_figure
from orchestrator.trials import FixedTrial, every_answer

_MEMBERS = ("mobilenetv3/large-1.0", "shufflenetv2/1.0x", "efficientformer/l1")
_MOST_SETTINGS = 16
# From noise on a few thousand images: no mixing, a little of everything else.
_RECIPE = (
    "train=photos",
    "train.mixup_alpha=0",
    "train.erasing=0",
    "train.batch_size=32",
    "train.learning_rate=2e-3",
)


@dataclass(frozen=True)
class Row:
    """One file: what was done, what runs it, and what it is worth on test."""

    network: str
    made: VariantFiles
    macs: float
    accuracy: float
    images: int
    latency: Latency

    @property
    def exact(self) -> bool:
        """Whether it is the network's very function."""
        return self.made.artifact.exact


def main() -> None:
    options = _options()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(options.keep or folder)
        kept.mkdir(parents=True, exist_ok=True)
        for member in options.members:
            factory = _factory(member, options, kept)
            genotype = _published(member, factory)
            path = kept / f"{member.replace('/', '-')}.safetensors"
            network = _trained(genotype, factory, path)
            tuned = kept / path.stem
            _show(member, _rows(network, genotype, factory, Path(folder) / path.stem, tuned))


def _rows(
    network: nn.Module, genotype: Genotype, factory: Factory, folder: Path, kept: Path
) -> list[Row]:
    """All files of all networks that come of one, timed in one session."""
    found: list[tuple[str, float, VariantFiles]] = []
    for number, (name, own) in enumerate(_ways(genotype, factory)):
        treatment = Treatment(own, factory.config.train.final_epochs)
        made = _made(name, network, treatment, factory, kept)
        path = folder / f"{number}" / "model"
        path.parent.mkdir(parents=True)
        shape = factory.assembly.facts.shape
        macs = float(
            factory.plugins.create("objective", "macs", {}).measure(Subject(own, made, shape))
        )
        for files in factory.variants(made, treatment, path, final=True):
            if files.error:
                print(f"{name}, {files.runtime}, {' → '.join(files.steps)}: {files.error}")
            else:
                found.append((name, macs, files))
    return _measured(found, factory, folder)


def _made(
    name: str, network: nn.Module, treatment: Treatment, factory: Factory, kept: Path
) -> nn.Module:
    """What one way leaves of a network, read again where these very settings left one."""
    config = factory.config
    told = repr((name, config.compressor, config.train, config.dataset, config.run.seed))
    digest = hashlib.sha256(told.encode()).hexdigest()[:12]
    path = kept / f"{name.partition(' ')[0]}-{digest}.pt"
    if path.exists():
        found: nn.Module = torch.load(path, weights_only=False)
        return found.eval()
    started = time.monotonic()
    made = factory.compress(copy.deepcopy(network), treatment)
    if name == "longer":
        _train_on(made, factory, treatment)
    right = leading_figure(made.eval(), factory.footing)
    print(f"{name}: {right:.3f} on validation, {time.monotonic() - started:.0f} s", flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(made, path)
    return made


def _ways(genotype: Genotype, factory: Factory) -> Iterator[tuple[str, Genotype]]:
    """The network as it is, trained on, and after each setting of each network compressor."""
    yield "trained", genotype
    if any(map(_tuning, factory.assembly.compressors.values())):
        yield "longer", genotype
    for name, compressor in factory.assembly.compressors.items():
        if not isinstance(compressor, NetworkCompressor):
            continue
        for _, choices in every_answer(compressor.suggest, _MOST_SETTINGS) or ():
            if choices:
                told = ", ".join(str(value) for value in choices.values())
                yield f"{name} {told}", replace(genotype, compression=(Step(name, choices),))


def _measured(
    found: Sequence[tuple[str, float, VariantFiles]], factory: Factory, folder: Path
) -> list[Row]:
    device, leading = factory.assembly.device, factory.assembly.task.leading.name
    runtimes = [factory.assembly.runtime(files.genotype.runtime) for _, _, files in found]
    own = {id(runtime): runtime for runtime in [device, *runtimes]}
    Runtime.join([runtime for runtime in own.values() if isinstance(runtime, Runtime)])
    session = [(r, files.artifact) for r, (_, _, files) in zip(runtimes, found, strict=True)]
    with quiet(factory.gate, here=device.shares_host):
        timed = device.latencies_together(session, device.calibrate(folder), folder)
    rows = []
    for (name, macs, files), runtime, latency in zip(found, runtimes, timed, strict=True):
        judge = factory.score(files.artifact, "test", gate=None, runtime=runtime)
        rows.append(Row(name, files, macs, judge.figures()[leading], judge.count, latency))
    return rows


def _train_on(network: nn.Module, factory: Factory, treatment: Treatment) -> None:
    """For as many epochs as a pruned one is fine-tuned."""
    found = [tuning for tuning in map(_tuning, factory.assembly.compressors.values()) if tuning]
    parts = [(each.steps, each.share / each.steps * treatment.epochs) for each in found]
    epochs = max(count * max(1, round(part)) for count, part in parts)
    run = TrainRun(epochs, seed_of(treatment.genotype, factory.config.run.seed) + 1, warm=True)
    train(network, factory.footing, factory.config.train, run)


def _tuning(compressor: object) -> Any:
    """How long it trains what it leaves of a network; None where it trains nothing."""
    tuning = getattr(compressor, "tuning", None)
    return tuning if getattr(tuning, "share", 0.0) > 0 else None


def _factory(member: str, options: argparse.Namespace, folder: Path) -> Factory:
    """All of a search but the search, on the images."""
    family = member.partition("/")[0]
    config = compose(
        [
            f"+search={family}",
            "space.preset=full",
            "dataset=image_folder",
            f"dataset.root={options.data}",
            f"dataset.per_class={options.per_class}",
            f"dataset.image_size={options.side}",
            *_RECIPE,
            f"train.final_epochs={options.epochs}",
            f"run.seed={options.seed}",
            f"device.runtime={_listed(options.runtimes)}",
            f"compressor.pruning.ratios={list(options.ratios)}",
            *options.override,
        ]
    )
    return Factory(config, folder, host_gate(), installed())


def _listed(runtimes: Sequence[str]) -> str:
    return "auto" if list(runtimes) == ["auto"] else f"[{','.join(runtimes)}]"


def _published(member: str, factory: Factory) -> Genotype:
    """The family's published network, under the task's own head."""
    point = factory.assembly.space.published()[member.partition("/")[2]]
    return draw_plain(factory.assembly.space, factory.assembly.task, FixedTrial(point.choices))


def _trained(genotype: Genotype, factory: Factory, path: Path) -> nn.Module:
    network = factory.started(genotype)
    if path.exists():
        network.load_state_dict(safetensors.torch.load_file(path))
        return network.eval()
    config = factory.config
    run = TrainRun(config.train.final_epochs, seed_of(genotype, config.run.seed))
    curve = train(network, factory.footing, config.train, run).curve
    print(f"{path.stem}: {curve[-1]:.3f} on validation after {len(curve)} epochs", flush=True)
    safetensors.torch.save_file(network.state_dict(), path)
    return network.eval()


def _show(member: str, rows: Sequence[Row]) -> None:
    """A table, then what the goals are held against."""
    best = min(row.latency.ms for row in rows if row.network == "trained" and row.exact)
    whole = rows[0].macs
    print(f"\n{member}: {whole / 1e6:.1f} M multiply-adds, {rows[0].images} test images")
    head = f"{'network':28}{'runtime':13}{'file':28}{'test':>22}{'kB':>7}{'MACs':>6}"
    print(f"{head}{'ms':>9}{'from–to':>16}{'own float':>11}{'best float':>12}")
    for row in rows:
        own = next(r for r in rows if _own_float(r, row))
        low, high = row.latency.interval_ms or (row.latency.ms, row.latency.ms)
        did = [name for name in row.made.steps if name not in row.network]
        print(
            f"{row.network:28}{row.made.runtime:13}{' → '.join(did) or 'float':28}"
            f"{interval(row.accuracy, row.images):>22}{row.made.artifact.size_bytes / 1e3:7.0f}"
            f"{row.macs / whole:6.2f}{row.latency.ms:9.3f}{low:10.3f}–{high:.3f}"
            f"{own.latency.ms / row.latency.ms:10.2f}x{best / row.latency.ms:11.2f}x",
            flush=True,
        )


def _own_float(other: Row, row: Row) -> bool:
    """Whether `other` is the float file of the same network in the same runtime."""
    return other.exact and other.network == row.network and other.made.runtime == row.made.runtime


def _options(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=os.path.abspath)
    parser.add_argument("--members", nargs="+", default=list(_MEMBERS))
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--per-class", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--ratios", nargs="+", type=float, default=[0.3, 0.45])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runtimes", nargs="+", default=["auto"], help="by name, or all installed")
    parser.add_argument("--keep", help="a folder for the trained networks, read again where there")
    parser.add_argument("--override", nargs="*", default=[], help="more words for the search")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
