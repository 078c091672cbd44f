"""What the cost of a batch must be, so that it follows from the costs of its parts."""

from __future__ import annotations

from typing import Any

from minigrad.checks import label
from minigrad.containers import Container, Sequential
from minigrad.layer import Layer
from minigrad.losses import Loss, Penalized

_RULES = ("forward", "backward", "parameter_gradients", "backpropagate", "__call__")


def single_loss(who: str, cost: Layer, reduction: str | None) -> tuple[Loss | None, str]:
    """The loss on top of `cost`, None where it is of another kind, and the reduction (ValueError where none is known).

    Of a Loss that is a mean, what it divides by is known.  Of another layer the caller says what it is.
    """
    if reduction not in (None, "mean", "sum"):
        raise ValueError(f"{who} expects reduction to be 'mean' or 'sum', that of the cost, got {reduction!r}")
    top = _top(cost)
    own = getattr(top, "reduction", None)
    if isinstance(top, Loss):
        if own == "none":
            raise ValueError(
                f"{who} expects a cost that is one number, got one that ends with {top!r}: take 'mean' or 'sum'"
            )
        if reduction is not None and reduction != ("mean" if own in top.means else own):
            raise ValueError(f"{who} got reduction={reduction!r}, but the cost ends with {top!r}: leave it out")
        return top, "sum" if own == "sum" else "mean"
    if reduction is None and own == "sum":
        return None, "sum"
    if reduction is None:
        raise ValueError(
            f"{who} cannot know how {label(top)} on top of the cost puts rows together: say reduction='sum', or "
            "reduction='mean' where it is the mean of rows that count alike; one with weights derives from Loss"
        )
    return None, reduction


def with_top(cost: Layer, top: Layer | None, penalties: bool = True) -> Layer:
    """`cost` with `top` for the loss on top, and, if so asked, without penalties; parameters keep their names."""
    if isinstance(cost, Penalized):
        inner = with_top(cost.cost, top, penalties)
        return cost.around(inner) if penalties else inner
    if _is_stack(cost):
        return Sequential(*cost.layers[:-1], with_top(cost.layers[-1], top, penalties))  # type: ignore[attr-defined]
    return cost if top is None else top


def require_independent_rows(who: str, cost: Layer, training: bool) -> None:
    """Below the loss no row depends on another (ValueError names the layer where one does)."""
    for place, layer in _below(cost):
        form = layer if training else Sequential(layer).at_inference().children()[0][1]  # type: ignore[attr-defined]
        if (found := _coupled(place, form)) is not None:
            fix = "Frozen(layer) runs it as at inference; " if training else ""
            raise ValueError(
                f"{who} expects layers in which no row depends on another, got {found[1]!r} as layer {found[0]}, which "
                f"would be another function of each chunk: {fix}value_and_gradients of all rows has no such bounds"
            )


def model_and_loss(who: str, cost: Layer) -> tuple[list[Layer], Layer, list[Penalized]]:
    """The layers below the loss, the loss, and what adds penalties (ValueError unless the cost ends in a loss)."""
    if isinstance(cost, Penalized):
        below, loss, penalized = model_and_loss(who, cost.cost)
        return below, loss, [*penalized, cost]
    if _is_stack(cost):
        *lower, top = cost.layers  # type: ignore[attr-defined]
        below, loss, penalized = model_and_loss(who, top)
        return (
            [layer for part in lower for layer in (part.layers if _is_stack(part) else (part,))] + below,
            loss,
            penalized,
        )
    if isinstance(cost, Container):
        raise ValueError(
            f"{who} expects a stack that ends in a loss, got one that ends in {cost.outline()}: what is model and "
            "what is loss must be told apart; hessian_vector_product needs no such thing"
        )
    return [], cost, []


def _top(cost: Layer) -> Layer:
    """What stands on top of stacks and within penalties."""
    if isinstance(cost, Penalized):
        return _top(cost.cost)
    return _top(cost.layers[-1]) if _is_stack(cost) else cost  # type: ignore[attr-defined]


def _is_stack(cost: Any) -> bool:
    """`cost` is a Sequential, or a subclass with the same rules."""
    kind_of = type(cost)
    same = isinstance(cost, Sequential) and all(getattr(kind_of, rule) is getattr(Sequential, rule) for rule in _RULES)
    return same and len(cost) > 0


def _below(cost: Layer, place: str = "") -> list[tuple[str, Layer]]:
    """(place, layer) for what stands below the top; of a top made of layers, for those that are no losses."""
    if isinstance(cost, Penalized):
        return _below(cost.cost, place)
    if _is_stack(cost):
        *lower, top = cost.children()  # type: ignore[attr-defined]
        return [(place + name, layer) for name, layer in lower] + _below(top[1], f"{place}{top[0]}.")
    children = cost.children() if isinstance(cost, Container) else ()
    return [(place + name, layer) for name, layer in children if not isinstance(layer, Loss | Penalized)]


def _coupled(place: str, layer: Layer) -> tuple[str, Layer] | None:
    """The innermost layer that says that its rows depend on one another, and its place; None where none does."""
    if layer.rows_independent:
        return None
    children = layer.children() if isinstance(layer, Container) else ()
    inner = (_coupled(f"{place}.{name}", child) for name, child in children)
    return next((found for found in inner if found is not None), (place, layer))
