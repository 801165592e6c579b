"""What a network costs: parameters, operations, memory, file size and latency."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_objectives"]


@hookimpl
def orchestrator_objectives() -> Sequence[Offer]:
    """What a candidate can be judged by."""
    return [
        Offer(
            "params",
            "orchestrator_objectives.params:Parameters",
            "trainable and frozen parameters, tied ones counted once",
        ),
        Offer(
            "macs",
            "orchestrator_objectives.macs:MultiplyAdds",
            "multiply-adds of one image, exact or by thop's convention",
        ),
        Offer(
            "memory_access",
            "orchestrator_objectives.memory_access:MemoryAccess",
            "elements that all operators read and write, ShuffleNetV2's memory access cost",
        ),
        Offer(
            "peak_activation",
            "orchestrator_objectives.peak_activation:PeakActivation",
            "most bytes of activations alive at once, float32, weights not counted",
        ),
        Offer(
            "size_bytes",
            "orchestrator_objectives.size:FileSize",
            "size of the file that is shipped",
        ),
        Offer(
            "latency_ms",
            "orchestrator_objectives.latency:LatencyMs",
            "time of one batch-1 inference, measured on the device",
        ),
        Offer(
            "throughput",
            "orchestrator_objectives.gauged:Throughput",
            "images a second in batches, measured on the device",
        ),
        Offer(
            "peak_memory",
            "orchestrator_objectives.gauged:PeakMemory",
            "bytes that loading and running the file adds to its runtime, on the device",
        ),
        Offer(
            "energy",
            "orchestrator_objectives.gauged:Energy",
            "joules of one inference, where the device's machine can tell",
        ),
    ]
