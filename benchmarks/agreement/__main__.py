"""Values and gradients of every layer beside PyTorch's, at random shapes, options and numbers.

python -m benchmarks.agreement                  200 draws of each layer, in float64 and float32
python -m benchmarks.agreement Conv2d GRU       those whose name begins so
python -m benchmarks.agreement --save           all, and write docs/agreement.md
python -m benchmarks.agreement --smoke          two draws of each
"""

import argparse
import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks import one_thread  # noqa: F401 - before NumPy
from benchmarks.agreement.catalogue import TWINS
from benchmarks.agreement.twin import TOLERANCE, Twin, differences

# isort: split
import numpy as np

DOCUMENT = Path(__file__).parents[2] / "docs" / "agreement.md"


def main() -> None:
    """Parse the command line, compare, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="how the names of the layers begin; all by default")
    parser.add_argument("--rounds", type=int, default=200, help="draws of each layer in each precision")
    parser.add_argument("--save", action="store_true", help=f"write {DOCUMENT.name}")
    parser.add_argument("--smoke", action="store_true", help="two draws of each")
    options = parser.parse_args()
    if options.save and (options.smoke or options.names):
        parser.error("--save replaces the published table: it needs all layers, in full")
    try:
        import torch  # noqa: F401
    except ImportError:
        print("PyTorch is not installed: there is nothing to compare with")
        return
    chosen = [twin for twin in TWINS if not options.names or twin.name.startswith(tuple(options.names))]
    rounds = 2 if options.smoke else options.rounds
    lines, wrong = [], []
    for twin in chosen:
        worst = {dtype: largest(twin, dtype, rounds) for dtype in TOLERANCE}
        lines.append(f"| {twin.name} | {' | '.join(f'{value:.1e} ({array})' for array, value in worst.values())} |")
        wrong += [f"{twin.name} in {d}: {worst[d][1]:.1e}" for d in TOLERANCE if not worst[d][1] <= TOLERANCE[d]]
        print(lines[-1], flush=True)
    if wrong:
        sys.exit("beyond the tolerance: " + "; ".join(wrong))
    if options.save:
        DOCUMENT.write_text(document(lines, rounds))


def largest(twin: Twin, dtype: str, rounds: int) -> tuple[str, float]:
    """The largest difference of all draws, and in which array it was."""
    worst = ("output", 0.0)
    for seed in range(rounds):
        rng = np.random.default_rng(seed)
        found = differences(twin.draw(rng), dtype, rng)
        worst = max(worst, *found.items(), key=lambda item: item[1])
    return worst


def document(lines: list[str], rounds: int) -> str:
    """The page of the documents."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "torch"))
    return f"""# Agreement with PyTorch

Values and gradients of every layer that PyTorch has too, beside PyTorch's: the largest difference of {rounds} random
draws of shapes, options, parameters and numbers, relative to the largest entry of PyTorch's array, and the array it was
found in. Compared are the output, and with a random delta the gradient of every input and every parameter. In float64
the test suite asks for {TOLERANCE["float64"]:g}, in float32 for {TOLERANCE["float32"]:g}.

The draws keep away from where one of the two loses its digits, so that what is left to see is agreement: sums that
cancel, as the gradients of a group of two numbers under GroupNorm; tails of GELU and saturated sigmoids, where PyTorch
subtracts numbers that are nearly equal. There the tests hold minigrad to extended precision instead.

    python -m benchmarks.agreement --save

writes this page; it was measured with {versions}.

| layer | float64 | float32 |
|---|---|---|
{chr(10).join(lines)}
"""


if __name__ == "__main__":
    main()
