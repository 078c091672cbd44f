"""A whole model: each layer on its own at the input that it gets there, then all of them together."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from minigrad.containers import Container
from minigrad.layer import Layer
from minigrad.testing.examination import Examination
from minigrad.testing.report import Diagnosis, Finding
from minigrad.testing.subject import copied
from minigrad.testing.watch import TookTooLong, Watch

HARMLESS = {"complex_unsafe", "dtype", "empty", "layout", "rows_coupled", "unstable"}


class Visit(NamedTuple):
    """A layer of a model, and what came into it in one pass."""

    place: str
    layer: Layer
    z: Any
    arguments: tuple[Any, ...]


def leaves(model: Layer, place: str = "") -> Iterator[tuple[str, Layer]]:
    """(place, layer) for each layer that is not made of layers, from the first to the last."""
    if not isinstance(model, Container):
        yield place, model
        return
    for name, child in model.children():
        yield from leaves(child, f"{place}.{name}" if place else name)


def containers(model: Layer, place: str = "") -> Iterator[tuple[str, Container]]:
    """(place, container) for the model and each container in it, from the inside to the outside."""
    if isinstance(model, Container):
        for name, child in model.children():
            yield from containers(child, f"{place}.{name}" if place else name)
        yield place, model


def visits(model: Layer, z: Any, arguments: tuple[Any, ...]) -> list[Visit]:
    """Run rule 1 on a copy whose layers note what they are given.  A layer that is run twice counts once."""
    twin = copy.deepcopy(model)
    found: dict[str, Visit] = {}

    def listen(place: str, layer: Layer, original: Layer) -> None:
        forward = layer.forward

        def noting(z: Any, *rest: Any, **options: Any) -> Any:
            if not options:
                found.setdefault(place, Visit(place, original, copied(z), copied(rest)))
            return forward(z, *rest, **options)

        vars(layer)["forward"] = noting

    originals = dict([*leaves(model), *((place, c) for place, c in containers(model) if place)])
    heard: set[int] = set()
    for place, layer in [*leaves(twin), *((place, c) for place, c in containers(twin) if place)]:
        if id(layer) not in heard:
            heard.add(id(layer))
            listen(place, layer, originals[place])
    twin.forward(copied(z), *copied(arguments))
    return list(found.values())


def examine_model(
    model: Container, z: Any, arguments: tuple[Any, ...], rng: np.random.Generator, watch: Watch, all_cases: bool
) -> Diagnosis:
    """Each layer at its own input, each container as a whole; what is wrong inside explains what is wrong outside."""
    whole = Examination(model, z, arguments, rng, watch, all_cases)
    diagnosis = whole.run()
    try:
        inside = watch.call(visits, model, z, arguments)
    except (Exception, TookTooLong):
        return diagnosis  # rule 1 of the whole has said so
    atoms = {place for place, _ in leaves(model)}
    wrong: list[Finding] = []
    parts = [visit for visit in inside if visit.place in atoms]
    shells = sorted((v for v in inside if v.place not in atoms), key=lambda v: -v.place.count("."))
    for visit in [*reversed(parts), *shells]:
        if visit.place not in atoms and any(f.place.startswith(f"{visit.place}.") and _spoils(f) for f in wrong):
            continue  # its layers explain it
        part = Examination(visit.layer, visit.z, visit.arguments, rng, watch, all_cases).run()
        wrong += [finding.at(visit.place) for finding in part.findings]
        diagnosis.cases += part.cases
        diagnosis.seconds += part.seconds
    outside = [f for f in diagnosis.findings if f.rule]
    if any(_spoils(f) for f in wrong):
        diagnosis.findings = (*wrong, *(f for f in diagnosis.findings if not f.rule and not f.place))
        diagnosis.notes = (*diagnosis.notes, *_story(wrong, outside, len(parts)))
    else:
        seen = {(f.rule, f.cause, f.message) for f in wrong}
        outer = [f for f in diagnosis.findings if (f.rule, f.cause, f.message) not in seen]
        diagnosis.findings = (*wrong, *(f for f in outer if not f.place))
    if apart := sorted(atoms - {visit.place for visit in parts}):
        said = "was not run with this input, has run before, or takes keyword arguments: it was not checked apart"
        diagnosis.notes = (*diagnosis.notes, *(f"layer {place} {said}" for place in apart))
    return diagnosis


def _spoils(finding: Finding) -> bool:
    """It makes the derivatives of what stands around wrong, too."""
    return finding.cause not in HARMLESS


def _story(wrong: list[Finding], outside: list[Finding], count: int) -> list[str]:
    """Where the delta first goes wrong on its way down, and whether the whole shows it."""
    notes = []
    places = list(dict.fromkeys(f.place for f in wrong if f.rule == 2))
    if places:
        notes.append(
            f"on its way down the delta first goes wrong in layer {places[0]}; the {count} layers were checked apart"
        )
    if not outside:
        several = " and ".join(places) or wrong[0].place
        notes.append(
            f"end to end nothing shows: what is wrong in {several} cancels, or never reaches the input. "
            "It will show when one of them is mended or moved"
        )
    return notes
