"""This machine's processor through ONNX Runtime."""

from __future__ import annotations

import os
import platform
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from orchestrator import Artifact, Device
from orchestrator.errors import CompileError, DeviceError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["OnnxRuntime"]

_BATCH = 64
_SESSIONS_KEPT = 8
_PROVIDER = "CPUExecutionProvider"
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


class OnnxRuntime(Device):
    """ONNX files, executed on the processor with `threads` threads.

    `exporter` "auto" writes with TorchScript during the search (0.2 s) and with dynamo for
    shipped files (seconds); "dynamo" or "torchscript" always uses that one. An exporter that
    fails is an error, never replaced by the other, so that a file's origin is known.
    """

    name = "onnxruntime"
    formats: ClassVar[frozenset[str]] = frozenset({"onnx"})

    def __init__(
        self,
        *,
        threads: int = 1,
        exporter: Literal["auto", "dynamo", "torchscript"] = "auto",
    ) -> None:
        if threads < 1:
            raise DeviceError(f"device.threads is {threads}, expected 1 or more.")
        self.threads = threads
        self.exporter = exporter
        self._sessions: OrderedDict[tuple[Path, int, int], Any] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_sessions": OrderedDict()}

    def check(self) -> None:
        """Raise DeviceError if ONNX Runtime or its processor provider is missing."""
        providers = _runtime().get_available_providers()
        if _PROVIDER not in providers:
            raise DeviceError(
                f"ONNX Runtime offers {providers}, expected {_PROVIDER}. Install the ordinary "
                "build: pip install onnxruntime"
            )

    def compile(
        self, network: nn.Module, example: Tensor, path: Path, *, final: bool = False
    ) -> Artifact:
        """Write `path`.onnx, weights inside, input "image", output "logits", batch open.

        Raises CompileError if the exporter does not take the network.
        """
        from orchestrator_devices.export import export

        automatic: Literal["dynamo", "torchscript"] = "dynamo" if final else "torchscript"
        target = path if path.suffix == ".onnx" else path.with_name(f"{path.name}.onnx")
        export(network, example, target, automatic if self.exporter == "auto" else self.exporter)
        return Artifact(target, "onnx", exact=True)

    def predict(self, artifact: Artifact, images: np.ndarray) -> np.ndarray:
        """Logits float32 (N, classes) of images float32 (N, C, H, W), 64 at a time."""
        session = self._session(artifact)
        (image,) = session.get_inputs()
        pieces = []
        # An empty array goes through the model once, for the number of classes.
        for start in range(0, max(1, len(images)), _BATCH):
            batch = np.ascontiguousarray(images[start : start + _BATCH], dtype=np.float32)
            try:
                pieces.append(session.run(None, {image.name: batch})[0])
            except Exception as error:
                raise CompileError(
                    f"{artifact.path.name} does not run on images of shape {images.shape}, "
                    f"it takes {image.shape}: {error}"
                ) from error
        return np.concatenate(pieces).astype(np.float32, copy=False)

    def fingerprint(self) -> Mapping[str, str]:
        """Processor, cores, system, ONNX Runtime, its providers and the number of threads."""
        runtime = _runtime()
        return {
            "processor": _processor(),
            "cores": str(os.cpu_count() or 1),
            "machine": platform.machine(),
            "system": f"{platform.system()} {platform.release()}",
            "runtime": f"onnxruntime {runtime.__version__}",
            "providers": _PROVIDER,
            "threads": str(self.threads),
        }

    def runner(self, artifact: Artifact) -> Callable[[], object]:
        """One inference of a fixed random image (1, C, H, W); the shape is the file's own."""
        session = self._session(artifact)
        outputs = [output.name for output in session.get_outputs()]
        feed = {image.name: _random_image(artifact, image) for image in session.get_inputs()}

        def run() -> object:
            return session.run(outputs, feed)

        run()
        return run

    def reference(self, folder: Path) -> Artifact:
        """A fixed convolutional network, written to `folder`/reference.onnx if it is not there."""
        from orchestrator_devices.reference import write_reference

        path = folder / "reference.onnx"
        write_reference(path)
        return Artifact(path, "onnx")

    def _session(self, artifact: Artifact) -> Any:
        """A loaded session; the last few are kept as long as their files do not change."""
        if artifact.format not in self.formats:
            raise DeviceError(
                f"{artifact.path.name} is {artifact.format!r}, but device=onnxruntime executes "
                f"{', '.join(sorted(self.formats))} files."
            )
        try:
            status = artifact.path.stat()
        except OSError as error:
            raise DeviceError(
                f"{artifact.path} cannot be read ({error}); compile it again."
            ) from error
        key = (artifact.path.absolute(), status.st_mtime_ns, status.st_size)
        if key not in self._sessions:
            self._sessions[key] = _load(artifact.path, self.threads)
        self._sessions.move_to_end(key)
        while len(self._sessions) > _SESSIONS_KEPT:
            self._sessions.popitem(last=False)
        return self._sessions[key]


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise DeviceError(
            f"device=onnxruntime needs ONNX Runtime ({error}): pip install onnxruntime"
        ) from error
    return onnxruntime


def _load(path: Path, threads: int) -> Any:
    runtime = _runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    # Threads that wait by spinning take the processor from whatever else runs here.
    for pool in ("intra_op", "inter_op"):
        options.add_session_config_entry(f"session.{pool}.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return runtime.InferenceSession(str(path), options, providers=[_PROVIDER])
    except Exception as error:
        raise CompileError(
            f"ONNX Runtime {runtime.__version__} does not load {path.name}: {error}"
        ) from error


def _random_image(artifact: Artifact, image: Any) -> np.ndarray:
    shape = [1, *image.shape[1:]]
    if image.type not in _TYPES or not all(isinstance(length, int) for length in shape):
        raise DeviceError(
            f"{artifact.path.name} takes {image.type} {image.shape}, expected floating-point "
            "images of a fixed size with only the batch open."
        )
    random = np.random.default_rng(0)
    return random.standard_normal(shape).astype(_TYPES[image.type])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
