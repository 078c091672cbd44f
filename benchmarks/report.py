"""Figures as data, as tables in Markdown, and in README.md between markers."""

import json
import platform
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.bars import BARS, of_library

HERE = Path(__file__).parent
LIBRARIES = ("numpy", "torch", "jax", "optax", "scikit-learn", "autograd", "mygrad", "onnxruntime", "statsmodels")
# The commands whose figures README.md shows: each has a `table` of what it stores.
STORED = ("training", "solvers", "fitting", "curvature", "inference")
Report = dict[str, Any]


def environment() -> dict[str, str]:
    """What was measured, on what."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    cpu = Path("/proc/cpuinfo")
    models = (
        [line.split(":")[1].strip() for line in cpu.read_text().splitlines() if "model name" in line]
        if cpu.exists()
        else []
    )
    processor = models[0] if models else platform.processor()
    return {"processor": processor, "system": platform.system(), "python": platform.python_version(), **versions}


def times(report: Report) -> str:
    """Minigrad's time, the ratio of each library's quickest way to it, and its own to the limit."""
    results = report["results"]
    others = [name for name in libraries(result["ratio"] for result in results) if name != "minigrad"]
    two = any("threads" in result for result in results)
    header = ["workload", "minigrad", *others, "of the limit", *(["PyTorch, two threads"] if two else [])]
    rows = []
    for result in results:
        row = [f"{result['workload']}: {result['title']}", duration(result["seconds"]["minigrad"])]
        row += [ratio(of_library(result["ratio"], name)) for name in others]
        row += [f"{result['of_limit']:.2f}" if "of_limit" in result else ""]
        row += [ratio(of_library(result.get("threads", {}).get("ratio", {}), "PyTorch"))] if two else []
        rows.append(row)
    left_out = [
        f"{result['workload']} leaves {name} out: {why}."
        for result in results
        for name, why in result.get("left_out", {}).items()
    ]
    return "\n\n".join([table(header, rows), *left_out])


def bars(report: Report, of_others: bool = True) -> str:
    """Each bar, and what there is; or only those of the workloads that were run."""
    found = {result["workload"]: result for result in report["results"]}
    rows = [
        [bar.workload, *bar.cells(found.get(bar.workload, {}))] for bar in BARS if of_others or bar.workload in found
    ]
    return table(["workload", "against", "bar", "found", ""], rows)


def memory(report: Report) -> str:
    """Megabytes at the peak of a step, traced and resident; of a library's several ways, that of the least."""
    results = [result for result in report["results"] if "memory" in result]
    traced = [{name: found["peak"] for name, found in result["memory"].items()} for result in results]
    resident = [{name: count for name, count in result["resident"].items() if count is not None} for result in results]
    columns = [(kind, name) for kind in (traced, resident) for name in libraries(kind)]
    rows = [
        [result["workload"], *(megabytes(of_library(kind[i], name)) for kind, name in columns)]
        for i, result in enumerate(results)
    ]
    header = [name if kind is traced else f"{name}, resident" for kind, name in columns]
    return table(["MB", *header], rows)


def libraries(found: Iterable[Report]) -> list[str]:
    """Those that some workload has figures of."""
    return list(dict.fromkeys(name.split(",")[0] for names in found for name in names))


def text(report: Report) -> str:
    """All tables."""
    parts = [times(report), bars(report, of_others=False), memory(report), environment_line(report)]
    return "\n\n".join(part for part in parts if "\n" in part.strip() or part.endswith("."))


def table(header: list[str], rows: Iterable[list[str]]) -> str:
    """Markdown, numbers to the right; nothing where there are no rows."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if len(lines) > 2 else ""


def duration(seconds: float) -> str:
    """In the unit that suits it."""
    unit, size = next(((u, s) for u, s in (("s", 1.0), ("ms", 1e-3)) if seconds >= s), ("us", 1e-6))
    shown = seconds / size
    return f"{shown:,.0f} {unit}" if shown >= 100 else f"{shown:.3g} {unit}"


def ratio(value: float | None) -> str:
    """Times as long as minigrad."""
    return "" if value is None else f"{value:.2f}x"


def megabytes(count: float | None) -> str:
    """Of bytes."""
    return "" if count is None else f"{count / 1e6:,.{1 if count < 1e8 else 0}f}"


def environment_line(report: Report) -> str:
    """Processor and versions."""
    return ", ".join(f"{name} {value}" for name, value in report["environment"].items()) + "."


def save(name: str, report: Report) -> None:
    """The figures in name.json, and the tables of README.md anew."""
    (HERE / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n")
    refill()


def stored(name: str) -> Report | None:
    """What was saved last."""
    path = HERE / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def refill() -> None:
    """Each part of README.md that is generated, from what is stored."""
    sources: dict[str, tuple[str, Callable[[Report], str]]] = {
        "times": ("results", times),
        "bars": ("results", bars),
        "memory": ("results", memory),
        "environment": ("results", environment_line),
        **{name: (name, import_module(f"benchmarks.{name}").table) for name in STORED},
    }
    readme = HERE / "README.md"
    page = readme.read_text()
    for part, (name, show) in sources.items():
        if (report := stored(name)) is not None:
            page = replaced(page, part, show(report))
    readme.write_text(page)


def replaced(page: str, part: str, content: str) -> str:
    """The page, with `content` between the markers of a part (ValueError where they are not there once each)."""
    begin, end = f"<!-- {part} -->\n", f"<!-- end of {part} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"README.md needs the lines {begin.strip()} and {end} once each")
    head, rest = page.split(begin)
    return f"{head}{begin}\n{content}\n\n{end}{rest.split(end)[1]}"


if __name__ == "__main__":
    refill()
