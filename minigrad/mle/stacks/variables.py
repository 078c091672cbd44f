"""Variables: free variables of usual size for the parameters of a stack, and the names of these."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from minigrad.containers import Sequential
from minigrad.layers import Linear
from minigrad.mle.likelihood import Listing
from minigrad.mle.regressions.links import contrasts
from minigrad.optim.columns import Columns
from minigrad.typing import Array


@dataclass(frozen=True)
class Names:
    """What parameters are called: columns of x, classes, and the parameters of the cost by their places."""

    columns: list[str] | None
    classes: list[str] | None
    places: list[str]  # in the cost: "0.weight", "2.b1", in the order of its arrays in phi


class Variables:
    """u -> psi -> the parameters phi that the stack is evaluated with, and theta, those of the cost.

        psi = S u,    phi = size psi,    theta = unit (T psi),    of which S mixes classes and T columns

    bottom    a Linear that takes a table: W = U unit / spread, b = c - U centre / spread, and x is (x unit - centre) /
              spread, with powers of two as units: columns of any size are alike
    last      where a shift of all K outputs of the last Linear changes nothing, W = Q V, Q (K, K - 1) of sum 0
    others    theta = size u
    """

    def __init__(
        self,
        arrays: list[Array],
        names: Names,
        x: Any,
        bottom: Linear | None,
        last: Linear | None,
        mixed: bool = False,
        told: bool = True,
    ) -> None:
        self.names, self.shapes = names, [array.shape for array in arrays]
        ends = np.cumsum([0, *(array.size for array in arrays)])
        self.slices = [slice(a, b) for a, b in pairwise(ends)]
        at = {id(array): i for i, array in enumerate(arrays)}
        self.count = int(ends[-1])
        self.bottom = self._of(bottom, at)
        self.last = self._of(last, at)
        self.mixed = mixed
        self.size, self.unit = np.ones(self.count), np.ones(self.count)
        self.outward = np.eye(self.count)  # T
        self.binary: Array | None = None
        self.centre: Any = 0.0
        self.spread: Any = 1.0
        if self.bottom is not None and bottom is not None:
            self._of_columns(bottom, x)
        self.inward = self._contrasts() if mixed else np.eye(self.count)  # S
        if not told and self.bottom is not None:
            self.inward = self.inward[:, ~self.inward[self.slices[self.bottom[0]]].any(axis=0)]
        self.theta = self.outward @ self.inward

    def _of(self, linear: Linear | None, at: dict[int, int]) -> tuple[int, int | None, int, int] | None:
        """(place of the weight, of the bias, K, D)."""
        if linear is None or id(linear.weight) not in at:
            return None
        return at[id(linear.weight)], None if linear.bias is None else at[id(linear.bias)], *linear.weight.shape

    def _of_columns(self, linear: Linear, x: Array) -> None:
        assert self.bottom is not None
        weight, bias, classes, features = self.bottom
        largest = np.abs(x.reshape(-1, features)).max(axis=0, initial=0.0)
        binary = 2.0 ** -np.where(largest > 0, np.frexp(largest)[1], 0).astype(float)
        columns = Columns(Sequential(linear), x * binary)
        centre = np.zeros(features) if columns.centre is None else columns.centre
        spread = np.ones(features) if columns.spread is None else columns.spread
        self.binary, self.centre, self.spread = binary, centre, spread
        self.unit[self.slices[weight]] = np.tile(binary, classes)
        self.outward[self.slices[weight], self.slices[weight]] = np.diag(np.tile(1 / spread, classes))
        if bias is not None:
            self.outward[self.slices[bias], self.slices[weight]] = np.kron(np.eye(classes), -centre / spread)

    def _contrasts(self) -> Array:
        assert self.last is not None
        weight, bias, classes, features = self.last
        q, parts = contrasts(classes), []
        for i, place in enumerate(self.slices):
            block = np.zeros((self.count, place.stop - place.start))
            block[place] = np.eye(block.shape[1])
            if i == weight:
                block = block @ np.kron(q, np.eye(features))
            elif i == bias:
                block = block @ q
            parts.append(block)
        return np.hstack(parts)

    def inputs(self, x: Any) -> Any:
        """x as the stack is given it."""
        if self.binary is None:
            return x
        return (np.asarray(x, dtype=float) * self.binary - self.centre) / self.spread

    def phi(self, u: Array) -> Array:
        """What the stack is evaluated with."""
        return self.size * (self.inward @ u)

    def by_variables(self, of_phi: Array) -> Array:
        """Derivatives by u of those by phi, on the last axis."""
        return np.asarray((of_phi * self.size) @ self.inward)

    def parameters(self, u: Array) -> Array:
        """theta."""
        return self.unit * self.size * (self.theta @ u)

    def of_parameters(self, theta: Array) -> Array:
        """u, for the parameters of the cost; of a shift that changes nothing the part is lost."""
        psi = np.linalg.solve(self.outward, theta / (self.unit * self.size))
        return np.asarray(self.inward.T @ psi)

    def without_units(self, u: Array) -> Array:
        """u where the bottom Linear gives 0 for every row."""
        psi = self.inward @ u
        for place in (self.bottom or ())[:2]:
            if place is not None:
                psi[self.slices[place]] = 0.0
        return np.asarray(self.inward.T @ psi)

    def of_units(self, direction: Array) -> bool:
        """A direction in u moves the bottom Linear alone, and that is the last one too."""
        if self.bottom is None or self.bottom != self.last:
            return False
        others = self.size * (self.inward @ direction)
        largest = float(np.abs(others).max(initial=0.0))
        for place in self.bottom[:2]:
            if place is not None:
                others[self.slices[place]] = 0.0
        return float(np.abs(others).max(initial=0.0)) <= 1e-6 * largest

    def units_by(self, x: Array) -> Array:
        """The derivatives by u of all outputs of the bottom Linear, (k, N K); x as the stack is given it."""
        assert self.bottom is not None
        weight, bias, classes, features = self.bottom
        by_u = self.size[:, np.newaxis] * self.inward
        of_weight = by_u[self.slices[weight]].reshape(classes, features, -1)
        z = np.einsum("nd,cdk->knc", x.reshape(-1, features), of_weight, optimize=True)
        if bias is not None:
            z += by_u[self.slices[bias]].T[:, np.newaxis, :]
        return np.asarray(z.reshape(len(z), -1))

    def resize(self, u: Array, curvature: Array) -> Array:
        """u in variables whose sizes follow from a diagonal of second derivatives by u, about one standard error each.

        Between 1e-8 |theta| and |theta|, and a power of two; those that stand for columns or classes have theirs.
        """
        theta, psi = self.parameters(u), self.inward @ u
        of_phi = np.abs(self.inward) @ np.abs(curvature)
        with np.errstate(all="ignore"):
            error = self.size / np.sqrt(of_phi)
        error = np.where(np.isfinite(error) & (error > 0), error, np.inf)
        own, none = np.abs(theta), theta == 0
        wanted = np.clip(error, np.where(none, 1e-8, 1e-8 * own), np.where(none, 1e8, own))
        wanted[none & np.isinf(error)] = 1.0
        alone = np.ones(self.count, bool)
        for place in self._linear_places():
            alone[self.slices[place]] = False
        size = np.where(alone, 2.0 ** np.round(np.log2(np.maximum(wanted, 1e-300))), 1.0)
        psi = psi * self.size / size
        self.size = size
        return np.asarray(self.inward.T @ psi)

    def _linear_places(self) -> set[int]:
        """The arrays whose entries depend on more than one variable."""
        blocks = [self.bottom] if self.binary is not None else []
        blocks += [self.last] if self.mixed else []
        return {place for block in blocks if block is not None for place in block[:2] if place is not None}

    # Names.

    def listing(self, identification: str, reference: int = 0) -> Listing:
        """The parameters of the cost; for "reference", of classes that are only told apart those less `reference`."""
        names: list[str] = []
        rows: list[Array] = []
        scale: list[Array] = []
        versus = reference if self.mixed and identification == "reference" else None

        def add(name: str, i: int, against: int | None = None) -> None:
            names.append(name)
            rows.append(self.theta[i] - (0.0 if against is None else self.theta[against]))
            scale.append((self.unit * self.size)[i])

        for i, (place, shape) in enumerate(zip(self.slices, self.shapes, strict=True)):
            linear = next((block for block in (self.bottom, self.last) if block and i in block[:2]), None)
            if linear is None:
                for j in range(place.start, place.stop):
                    add(self._of_entry(i, shape, j - place.start), j)
            elif i == linear[0]:
                against = versus if linear == self.last else None
                for k in range(linear[2]):
                    if k != against:
                        self._add_unit(add, linear, k, against)
        return Listing(names, np.array(rows), np.array(scale))

    def _add_unit(self, add: Any, linear: tuple[int, int | None, int, int], k: int, versus: int | None) -> None:
        """The weights of unit k and its bias."""
        weight, bias, classes, features = linear
        is_bottom, is_last = linear == self.bottom and self.binary is not None, linear == self.last
        columns = self.names.columns if is_bottom else None
        if columns is None or len(columns) != features:
            columns = [f"x{j + 1}" if is_bottom else str(j) for j in range(features)]
        labels = self.names.classes if is_last and len(self.names.classes or ()) == classes else None
        unit = labels[k] if labels else str(k)
        plain = is_bottom and (is_last or classes == 1)
        prefix = f"{unit}:" if classes > 1 else ""
        for j in range(features):
            i = self.slices[weight].start + k * features + j
            name = f"{prefix}{columns[j]}" if plain else f"{self.names.places[weight]}[{unit}, {columns[j]}]"
            add(name, i, None if versus is None else i + (versus - k) * features)
        if bias is not None:
            i = self.slices[bias].start + k
            name = f"{prefix}const" if plain else f"{self.names.places[bias]}[{unit}]"
            add(name, i, None if versus is None else i + versus - k)

    def _of_entry(self, i: int, shape: tuple[int, ...], entry: int) -> str:
        """Its name alone where that is not ambiguous, else with its place; with indices unless it is one number."""
        place = self.names.places[i]
        short = place.rsplit(".", 1)[-1]
        taken = [other.rsplit(".", 1)[-1] for other in self.names.places] + [*(self.names.columns or ()), "const"]
        name = short if taken.count(short) == 1 and short not in ("weight", "bias") else place
        if int(np.prod(shape)) == 1:
            return name
        return f"{name}[{', '.join(str(int(j)) for j in np.unravel_index(entry, shape))}]"
