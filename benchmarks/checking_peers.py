"""The checkers of PyTorch and JAX on a layer of three rules, and the process in which they run.

Each wraps the layer as its users would: NumPy inside a torch.autograd.Function, or jax.custom_vjp with pure_callback.
It is given one typical input, in float64, and its default tolerances.  It finds something where it raises or returns
False for any reason, an exception of the layer included.

They run in a process of their own, which is ended at a time limit and is free to print what it likes.
"""

import importlib
import importlib.util
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

SIZES = (0.01, 1.0, 100.0)  # of the inputs of right layers
LIMIT = 60.0  # seconds of one check
TESTS = Path(__file__).resolve().parent.parent / "tests"


class Answer(NamedTuple):
    """What a peer said of one layer."""

    found: bool
    said: str
    seconds: float


def planted(name: str) -> ModuleType:
    """The module `bugs` or `right` of the tests beside the benchmarks."""
    if not (TESTS / name / "__init__.py").exists():
        sys.exit(f"The layers to be checked are in tests/{name} beside benchmarks/: run this in a checkout.")
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))
    return importlib.import_module(name)


def all_processors() -> None:
    """Let this process run on any processor: `one_thread` holds it, and what it starts, to one of them."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))


class Function:
    """A layer as a function of arrays alone: of the floating parts of z and of the parameters."""

    def __init__(self, layer: Any, z: Any, arguments: tuple[Any, ...]) -> None:
        self.layer, self.arguments, self.several = layer, arguments, type(z) is tuple
        self.parts = [np.asarray(part) for part in (z if self.several else (z,))]
        self.free = [i for i, part in enumerate(self.parts) if part.dtype.kind == "f"]
        own = layer.parameters()
        self.names = list(own)
        self.inputs = [np.array(a, dtype=float) for a in (*(self.parts[i] for i in self.free), *own.values())]

    def forward(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, Any]:
        """(z_next, what `gradients` needs) at `arrays` in place of the inputs."""
        parts = list(self.parts)
        for i, array in zip(self.free, arrays, strict=False):
            parts[i] = array
        layer = self.layer.with_parameters(dict(zip(self.names, arrays[len(self.free) :], strict=True)))
        z_next, cache = layer.forward(tuple(parts) if self.several else parts[0], *self.arguments)
        return np.asarray(z_next), (layer, cache)

    def gradients(self, delta: np.ndarray, kept: Any) -> list[np.ndarray]:
        """The gradient for each input, by rules 2 and 3."""
        layer, cache = kept
        below = layer.backward(delta, cache)
        parts = below if self.several else (below,)
        of_parameters = layer.parameter_gradients(delta, cache)
        return [np.asarray(g) for g in (*(parts[i] for i in self.free), *(of_parameters[n] for n in self.names))]


def gradcheck(function: Function, fast: bool) -> bool:
    """torch.autograd.gradcheck."""
    import torch

    def tensor(array: np.ndarray) -> Any:
        return torch.from_numpy(np.array(array, order="C"))

    class Wrapped(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, *inputs: Any) -> Any:
            z_next, ctx.kept = function.forward([t.detach().numpy() for t in inputs])
            return tensor(z_next)

        @staticmethod
        def backward(ctx: Any, delta: Any) -> Any:
            return tuple(tensor(g) for g in function.gradients(delta.detach().numpy(), ctx.kept))

    inputs = [tensor(array).requires_grad_() for array in function.inputs]
    return bool(torch.autograd.gradcheck(Wrapped.apply, inputs, fast_mode=fast))


def check_grads(function: Function) -> bool:
    """jax.test_util.check_grads.  The cache may be anything, so rule 1 runs again before rules 2 and 3."""
    import jax
    from jax.test_util import check_grads as check

    jax.config.update("jax_enable_x64", True)

    def like(array: np.ndarray) -> Any:
        return jax.ShapeDtypeStruct(array.shape, array.dtype)

    def arrays(values: Sequence[Any]) -> list[np.ndarray]:
        return [np.asarray(value) for value in values]

    def pull(delta: Any, *inputs: Any) -> tuple[np.ndarray, ...]:
        return tuple(function.gradients(np.asarray(delta), function.forward(arrays(inputs))[1]))

    output = like(function.forward([array.copy() for array in function.inputs])[0])
    shapes = tuple(like(array) for array in function.inputs)

    def value(*inputs: Any) -> Any:
        return jax.pure_callback(lambda *x: function.forward(arrays(x))[0], output, *inputs)

    wrapped = jax.custom_vjp(value)
    wrapped.defvjp(lambda *x: (value(*x), x), lambda x, delta: jax.pure_callback(pull, shapes, delta, *x))
    check(wrapped, tuple(jax.numpy.asarray(array) for array in function.inputs), order=1, modes=["rev"])
    return True


PEERS: dict[str, tuple[str, Callable[[Function], bool]]] = {  # name: module, check
    "torch gradcheck": ("torch", lambda function: gradcheck(function, fast=False)),
    "torch gradcheck, fast_mode": ("torch", lambda function: gradcheck(function, fast=True)),
    "jax check_grads": ("jax", check_grads),
}


def installed(peer: str) -> bool:
    """Whether the module of the peer is there."""
    return importlib.util.find_spec(PEERS[peer][0]) is not None


def layer_of(kind: str, index: int, size: float) -> tuple[Any, Any, tuple[Any, ...]]:
    """(layer, z, arguments) of a planted bug, or of a right layer at inputs of a size."""
    rng = np.random.default_rng(0)
    if kind == "bug":
        bug = planted("bugs").BUGS[index]
        z, *arguments = bug.sample(rng)
        return bug.make(), z, tuple(arguments)
    right = planted("right").RIGHT[index]
    layer = right.make(rng)
    z, *arguments = right.sample(rng, size)
    return layer, z, tuple(arguments)


def examine(peer: str, kind: str, index: int, size: float) -> Answer:
    """One check by one peer."""
    layer, z, arguments = layer_of(kind, index, size)
    importlib.import_module(PEERS[peer][0])  # before the clock starts
    start = time.perf_counter()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            said = "" if PEERS[peer][1](Function(layer, z, arguments)) else "False"
        except Exception as error:
            first = next(iter(str(error).strip().splitlines()), "")
            said = f"{type(error).__name__}: {first[:160]}"
    return Answer(bool(said), said, time.perf_counter() - start)


def serve(pipe: Connection) -> None:
    """Answer questions until the pipe closes.  What the peers print goes nowhere."""
    all_processors()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    while True:
        try:
            question = pipe.recv()
        except EOFError:
            return
        pipe.send(examine(*question))


class Examiner:
    """A process that runs the peers; another takes its place when it exceeds the limit or dies."""

    def __init__(self) -> None:
        self.process: Any = None

    def start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other,), daemon=True)
        self.process.start()
        other.close()

    def stop(self) -> None:
        if self.process is not None:
            self.pipe.close()
            self.process.kill()
            self.process.join()
            self.process = None

    def ask(self, peer: str, kind: str, index: int, size: float = 1.0) -> Answer:
        """The answer of a peer.  A check that hangs or dies does not pass, and so has found something."""
        if self.process is None:
            self.start()
        start = time.perf_counter()
        try:
            self.pipe.send((peer, kind, index, size))
            if self.pipe.poll(LIMIT):
                answer: Answer = self.pipe.recv()
                return answer
            said = f"no end within {LIMIT:.0f} s"
        except (EOFError, OSError):
            said = "the process died"
        self.stop()
        return Answer(True, said, time.perf_counter() - start)

    def __enter__(self) -> "Examiner":
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()


def measure(step: int) -> dict[str, Any]:
    """By peer: what it finds of the planted bugs, and its alarms on right layers; None where not installed."""
    with Examiner() as examiner:
        return {peer: figures(examiner, peer, step) if installed(peer) else None for peer in PEERS}


def figures(examiner: Examiner, peer: str, step: int) -> dict[str, Any]:
    """The figures of one peer; with a step, on some of the bugs and right layers, of one size."""
    print(f"   {peer}", file=sys.stderr, flush=True)
    families = planted("bugs").FAMILIES
    bugs = [(family, bug.name or type(bug.make()).__name__) for family in families for bug in families[family]]
    layers = [right.name for right in planted("right").RIGHT]
    sizes = SIZES if step == 1 else SIZES[1:2]
    on_bugs = [(*bugs[i], examiner.ask(peer, "bug", i)) for i in range(0, len(bugs), step)]
    on_right = [
        (f"size {s:g}", layers[i], examiner.ask(peer, "right", i, s))
        for s in sizes
        for i in range(0, len(layers), step)
    ]
    return {
        "found": shares(on_bugs),
        **spread([answer.seconds for *_, answer in on_bugs]),
        "missed": [name for _, name, answer in on_bugs if not answer.found],
        "alarms": shares(on_right),
        "alarmed": [{"size": s, "layer": name, "said": answer.said} for s, name, answer in on_right if answer.found],
    }


def shares(answers: list[tuple[str, str, Answer]]) -> dict[str, str]:
    """How many found something of how many, by group and in all."""
    groups = {group: [a.found for g, _, a in answers if g == group] for group in dict.fromkeys(g for g, *_ in answers)}
    groups["all"] = [answer.found for *_, answer in answers]
    return {group: f"{sum(found)} of {len(found)}" for group, found in groups.items()}


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Median and largest of the seconds of some checks."""
    return {"median": round(float(np.median(seconds)), 3), "largest": round(max(seconds), 2)}
