"""What LiteRT's own environment is asked to do: `python converter.py REQUEST`, which is JSON.

{"op": "convert", "source": a program of torch.export, "target": a .tflite};
{"op": "quantize", "source": a .tflite, "target": another, "recipe": a name of ai_edge_quantizer's
recipes, "images": a .npy of float32 (N, C, H, W), where the recipe calibrates}.

It imports nothing of Orchestrator, which is not installed there. The exit status is 1 after an
error, whose one line is the last on standard error.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

_SIGNATURE, _INPUT = "serving_default", "args_0"


def main(words: list[str]) -> int:
    """Do what is asked; the exit status."""
    request = json.loads(words[0])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            {"convert": _convert, "quantize": _quantize}[request["op"]](request)
    except Exception as error:
        said = [line.strip() for line in str(error).splitlines() if line.strip()]
        print(f"{type(error).__name__}: {said[0] if said else ''}", file=sys.stderr)
        return 1
    return 0


def _convert(request: dict[str, Any]) -> None:
    import litert_torch
    import torch

    program = torch.export.load(request["source"])
    given, _ = program.example_inputs
    litert_torch.convert(program.module(), tuple(given)).export(request["target"])


def _quantize(request: dict[str, Any]) -> None:
    import numpy
    from ai_edge_quantizer import quantizer, recipe

    made = quantizer.Quantizer(request["source"])
    made.load_quantization_recipe(getattr(recipe, request["recipe"])())
    ranges = None
    if made.need_calibration:
        shown = [{_INPUT: image[None]} for image in numpy.load(request["images"])]
        ranges = made.calibrate({_SIGNATURE: shown})
    made.quantize(ranges).export_model(request["target"], overwrite=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
