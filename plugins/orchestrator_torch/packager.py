"""Compiles a program of torch.export into an AOTInductor package: `packager.py PROGRAM PACKAGE`.

A program of its own. What was compiled stays in torch's cache (TORCHINDUCTOR_CACHE_DIR).
"""

from __future__ import annotations

import sys

import torch

# As the loader beside this file calls it.
SHAPE = "image"


def main(source: str, target: str) -> None:
    """Write `target`; raises what torch raises."""
    program = torch.export.load(source)
    (name,) = program.graph_signature.user_inputs
    (node,) = (node for node in program.graph.nodes if node.name == name)
    settings = {
        # What is called once an inference: optimised, it takes longer to compile, not less to run.
        "aot_inductor.compile_wrapper_opt_level": "O0",
        # As many threads as there are when it runs, not those of this process.
        "cpp.dynamic_threads": True,
        "aot_inductor.metadata": {SHAPE: ",".join(map(str, node.meta["val"].shape[1:]))},
    }
    torch._inductor.aoti_compile_and_package(
        program, package_path=target, inductor_configs=settings
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
