"""The contract of a layer, one function for each law.  A law raises AssertionError where the example breaks it."""

from collections.abc import Callable

import numpy as np
from case import Example

from minigrad.testing import complex_step, diagnose

STEP = 1e-30


def rules_2_and_3_are_the_derivatives(e: Example) -> None:
    """And the checker, which says so, finds nothing else wrong."""
    if e.z.size:
        diagnosis = diagnose(e.layer, e.z, *e.arguments, rng=e.seed, cases="given")
        assert diagnosis.ok, diagnosis
        assert {a.array for a in diagnosis.derivatives} == {"z", *e.layer.parameters()}
        assert not [a for a in diagnosis.derivatives if a.array in diagnosis.untold], diagnosis


def complex_steps_agree_with_rules_2_and_3(e: Example) -> None:
    if not e.layer.complex_safe:
        return
    z_next, cache = e.layer.forward(e.z, *e.arguments)
    delta = e.delta(z_next)
    dz, gradients = e.layer.backpropagate(delta, cache)

    def contracted(layer, z):
        return np.sum(delta * layer.forward(z, *e.arguments)[0])

    close(dz, complex_step(lambda z: contracted(e.layer, z), e.z, STEP), "rule 2", delta)
    for name, array in e.layer.parameters().items():
        moved = complex_step(lambda a, name=name: contracted(e.layer.with_parameters({name: a}), e.z), array, STEP)
        close(gradients[name], moved, f"rule 3 of {name}", delta)


def complex_steps_go_through_rules_2_and_3(e: Example) -> None:
    """Im rule(theta + i h v) / h, everything moved at once, is the derivative of the rule along v."""
    if not e.layer.complex_safe:
        return
    rng = np.random.default_rng(e.seed)
    arrays = {"z": e.z, **e.layer.parameters()}
    direction = {name: rng.normal(size=array.shape) for name, array in arrays.items()}
    delta, along = (e.delta(e.layer(e.z, *e.arguments), stream) for stream in (1, 2))

    def rules(t):
        moved = {name: array + t * direction[name] for name, array in arrays.items()}
        z = moved.pop("z")
        layer = e.layer.with_parameters(moved)
        z_next, cache = layer.forward(z, *e.arguments)
        dz, gradients = layer.backpropagate(delta + t * along, cache)
        return np.concatenate([np.ravel(a) for a in (z_next, dz, *gradients.values())])

    by_step = rules(1j * STEP).imag / STEP
    real = rules(0.0)
    h = 2.0**-10
    coarse, middle, fine = ((rules(s) - rules(-s)) / (2 * s) for s in (h, h / 2, h / 4))
    once = (4 * fine - middle) / 3
    by_differences = (16 * once - (4 * middle - coarse) / 3) / 15
    rounding = 1e-15 * np.abs(real).max(initial=1.0) / (h / 4)
    assert (np.abs(by_step - by_differences) <= 4 * np.abs(by_differences - once) + 32 * rounding).all()
    assert largest(rules(1j * STEP).real - real) <= 1e-12 * (1 + largest(real))


def rules_2_and_3_are_linear_in_delta(e: Example) -> None:
    z_next, cache = e.layer.forward(e.z, *e.arguments)
    first, second = e.delta(z_next, 1), e.delta(z_next, 2)
    of_first, of_second, of_sum = (flat(e.layer.backpropagate(d, cache)) for d in (first, second, first + second))
    # Powers of two commute with rounding, unless a number is so small that digits fall off at its end.
    exact = np.abs(of_first) > 2.0**22 * np.finfo(e.z.dtype).tiny / e.eps
    for factor in (2.0, -1.0, 2.0**20, 2.0**-20):
        scaled = flat(e.layer.backpropagate(factor * first, cache))
        assert np.array_equal(scaled[exact], factor * of_first[exact]), factor
    assert not flat(e.layer.backpropagate(0 * first, cache)).any()
    size = largest(of_first) + largest(of_second)
    rounding = e.eps * (4000 * size + 2000 * largest(first))
    assert largest(of_sum - of_first - of_second) <= rounding


def rows_are_independent(e: Example) -> None:
    if not e.layer.rows_independent:
        return
    z_next, cache = e.layer.forward(e.z)
    delta = e.delta(z_next)
    dz, gradients = e.layer.backpropagate(delta, cache)
    total = {name: np.zeros(array.shape) for name, array in e.layer.parameters().items()}
    for n in range(len(e.z)):
        row_next, row_cache = e.layer.forward(e.z[n : n + 1])
        row_dz, row_gradients = e.layer.backpropagate(delta[n : n + 1], row_cache)
        close(row_next, z_next[n : n + 1], f"row {n} of rule 1", 0.0, e.eps)
        close(row_dz, dz[n : n + 1], f"row {n} of rule 2", delta, e.eps)
        for name in total:
            total[name] = total[name] + row_gradients[name]
    for name, array in total.items():
        close(gradients[name], array, f"rule 3 of {name} as a sum over rows", delta, e.eps)


def nothing_is_changed_or_kept(e: Example) -> None:
    arrays = [e.z, *e.layer.parameters().values(), *(a for a in e.arguments if isinstance(a, np.ndarray))]
    before = [array.copy() for array in arrays]
    attributes = {name: id(value) for name, value in vars(e.layer).items()}
    other_z = e.z[::-1] * 0.5 + 0.25
    z_next, cache = e.layer.forward(e.z, *e.arguments)
    delta = e.delta(z_next)
    delta_before = np.copy(delta)
    alone = flat((z_next, e.layer.parameter_gradients(delta, cache), e.layer.backward(delta, cache)))
    # Two forwards, then the backwards in either order, with writeable inputs that may not be written to.
    z, other = e.z.copy(), other_z.copy()
    next_1, cache_1 = e.layer.forward(z, *e.arguments)
    next_2, cache_2 = e.layer.forward(other, *e.arguments)
    rules_2 = e.layer.backward(delta, cache_2), e.layer.parameter_gradients(delta, cache_2)
    kept = flat((next_2, *rules_2)).copy()
    rules_1 = e.layer.parameter_gradients(delta, cache_1), e.layer.backward(delta, cache_1)
    again_1 = e.layer.parameter_gradients(delta, cache_1), e.layer.backward(delta, cache_1)
    size = largest(alone)
    assert largest(flat((next_1, *rules_1)) - alone) <= 400 * e.eps * size, "another forward got in between"
    assert np.array_equal(flat(again_1), flat(rules_1)), "a second backward on one cache differs"
    assert np.array_equal(flat((next_2, *rules_2)), kept), "a later call changed an array returned earlier"
    assert np.array_equal(other, other_z), "z was changed"
    assert np.array_equal(delta, delta_before), "delta was changed"
    assert all(np.array_equal(a, b) for a, b in zip(arrays, before, strict=True)), (
        "an argument or parameter was changed"
    )
    assert {name: id(value) for name, value in vars(e.layer).items()} == attributes, "something was left on the layer"


def results_repeat_to_the_bit(e: Example) -> None:
    def run():
        z_next, cache = e.layer.forward(e.z, *e.arguments)
        return flat((z_next, *e.layer.backpropagate(e.delta(z_next), cache)))

    same_bits(run(), run(), "a second run")
    z_next = e.layer.forward(e.z, *e.arguments)[0]
    same_bits(e.layer(e.z, *e.arguments), z_next, "inference")
    same_bits(e.layer.at_inference().forward(e.z, *e.arguments)[0], z_next, "at_inference()")


def layout_does_not_matter(e: Example) -> None:
    z_next, cache = e.layer.forward(e.z, *e.arguments)
    delta = e.delta(z_next)
    expected = flat((z_next, *e.layer.backpropagate(delta, cache)))
    plain_next, plain_cache = e.layer.forward(e.z.copy(order="C"), *e.arguments)
    size = largest(expected)
    for layout in (np.asfortranarray, lambda d: np.repeat(d, 2, axis=-1)[..., ::2]) if np.ndim(delta) else ():
        found = flat((plain_next, *e.layer.backpropagate(layout(delta), plain_cache)))
        assert largest(found - expected) <= 400 * e.eps * size


def shapes_and_names_agree(e: Example) -> None:
    z_next, cache = e.layer.forward(e.z, *e.arguments)
    delta = e.delta(z_next)
    dz, gradients = e.layer.backpropagate(delta, cache)
    assert dz.shape == e.z.shape
    parameters = e.layer.parameters()
    assert list(gradients) == list(parameters)
    assert {name: np.shape(g) for name, g in gradients.items()} == {n: a.shape for n, a in parameters.items()}
    places = {name: getattr(owner, attribute) for name, owner, attribute in e.layer.parameter_places()}
    assert all(places[name] is array for name, array in parameters.items())
    trained, held = ({id(array) for array in arrays.values()} for arrays in (parameters, places))
    assert trained <= held
    assert held - trained <= {id(value) for value in e.layer.state().values()}, "a place holds what is neither"
    separately = flat((e.layer.backward(delta, cache), e.layer.parameter_gradients(delta, cache)))
    assert np.array_equal(separately, flat((dz, gradients))), "backpropagate differs from rules 2 and 3"


def dtype_in_is_dtype_out(e: Example) -> None:
    for dtype in (np.float32, np.float64, np.complex64, np.complex128):
        layer = e.layer.astype(dtype)
        z_next, cache = layer.forward(e.z.astype(dtype), *e.arguments)
        delta = np.asarray(e.delta(z_next)).astype(dtype)[()]
        dz, gradients = layer.backpropagate(delta, cache)
        for array in (z_next, dz, *gradients.values()):
            assert array.dtype == dtype, f"{array.dtype} from {np.dtype(dtype)}"


def float32_is_close_to_float64(e: Example) -> None:
    z, layer = e.z.astype(np.float32), e.layer.astype(np.float32)
    z_next, cache = layer.forward(z, *e.arguments)
    delta = e.delta(z_next)
    found = flat((z_next, *layer.backpropagate(delta, cache)))
    layer64 = layer.astype(np.float64)
    next64, cache64 = layer64.forward(z.astype(np.float64), *e.arguments)
    expected = flat((next64, *layer64.backpropagate(np.float64(delta), cache64)))
    # Intermediate sums of logits up to 30 round at 30 eps.
    assert largest(found - expected) <= 1e-4 * (1 + largest(expected))


# Of these, what holds in float64 holds in float32 with its rounding.  The others compare with derivatives that are
# computed in float64, or run through the precisions themselves.
ANY_PRECISION = {
    rules_2_and_3_are_linear_in_delta,
    rows_are_independent,
    nothing_is_changed_or_kept,
    results_repeat_to_the_bit,
    layout_does_not_matter,
    shapes_and_names_agree,
}

# Its numeric derivatives take as long as all others together.
SLOW = {rules_2_and_3_are_the_derivatives}

LAWS: list[Callable[[Example], None]] = [
    rules_2_and_3_are_the_derivatives,
    complex_steps_agree_with_rules_2_and_3,
    complex_steps_go_through_rules_2_and_3,
    rules_2_and_3_are_linear_in_delta,
    rows_are_independent,
    nothing_is_changed_or_kept,
    results_repeat_to_the_bit,
    layout_does_not_matter,
    shapes_and_names_agree,
    dtype_in_is_dtype_out,
    float32_is_close_to_float64,
]


def flat(values) -> np.ndarray:
    """All numbers of nested tuples and dictionaries, as one vector."""
    if isinstance(values, dict):
        values = tuple(values.values())
    if isinstance(values, tuple):
        return np.concatenate([flat(value) for value in values] or [np.zeros(0)])
    return np.ravel(values)


def same_bits(found, expected, what: str) -> None:
    """Equal in every bit; else says how far apart they are."""
    if not np.array_equal(found, expected):
        found, expected = np.asarray(found), np.asarray(expected)
        differ = np.count_nonzero(found != expected) if found.shape == expected.shape else "shapes"
        raise AssertionError(
            f"{what}: {differ} of {found.shape}, {expected.shape} differ, by {largest(flat(found) - flat(expected))}; "
            f"NaN {np.isnan(found).sum()}, {np.isnan(expected).sum()}"
        )


def largest(values) -> float:
    """The largest absolute value; 0 of none."""
    return np.abs(values).max(initial=0.0)


def close(found, expected, what: str, delta=0.0, eps=2.0**-52) -> None:
    """Equal to a few roundings of the largest entry, or of delta, from which a rule may subtract."""
    assert np.shape(found) == np.shape(expected), f"{what}: shape {np.shape(found)} for {np.shape(expected)}"
    size = max(largest(expected), 1e-300)
    worst = largest(found - expected)
    assert worst <= eps * (4000 * size + 2000 * largest(delta)), f"{what}: off by {worst:.1e} of {size:.1e}"
