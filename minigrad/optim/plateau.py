"""ReduceLROnPlateau: a smaller learning rate where a cost no longer improves."""

from __future__ import annotations

from typing import Any

from minigrad.checks import require_number
from minigrad.optim.schedules import Schedule, require_counted, require_names


class ReduceLROnPlateau(Schedule):
    """factor times the learning rate, min_lr at least, when more than `patience` epochs were no better than the best.

        better    a < best - threshold |best|  ("rel"),   a < best - threshold  ("abs"),   mode "max": a > best + ...

    a is what `optimizer.end_epoch(a)` is given.  After a reduction the next `cooldown` epochs do not count; a reduction
    by `eps` or less is not made.
    """

    def __init__(
        self,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        super().__init__()
        who = ReduceLROnPlateau
        for name, value, known in ("mode", mode, ("min", "max")), ("threshold_mode", threshold_mode, ("rel", "abs")):
            if value not in known:
                raise ValueError(f"ReduceLROnPlateau expects {name} to be {known[0]!r} or {known[1]!r}, got {value!r}")
        self.mode, self.threshold_mode = mode, threshold_mode
        self.factor = require_number(who, "factor", factor, least=0.0)
        if self.factor >= 1:
            raise ValueError(f"ReduceLROnPlateau expects factor below 1, got {factor!r}")
        self.patience = require_counted(who, "patience", patience)
        self.threshold = require_number(who, "threshold", threshold, least=0.0)
        self.cooldown = require_counted(who, "cooldown", cooldown)
        self.min_lr = require_number(who, "min_lr", min_lr, least=0.0)
        self.eps = require_number(who, "eps", eps, least=0.0)

    def rate(self, base: float, count: int) -> float:
        """After `count` reductions."""
        rate = base
        for _ in range(count):
            reduced = max(rate * self.factor, self.min_lr)
            if rate - reduced <= self.eps:
                break
            rate = reduced
        return rate

    def start(self) -> dict[str, Any]:
        return {"best": None, "bad": 0, "cooling": 0, "reductions": 0}

    def require_progress(self, progress: Any) -> dict[str, Any]:
        require_names(type(self), progress, self.start())
        best = progress["best"]
        if best is not None:
            best = require_number(type(self), "best", best)
        return {"best": best} | {
            name: require_counted(type(self), name, progress[name]) for name in ("bad", "cooling", "reductions")
        }

    def after_epoch(self, progress: dict[str, Any], monitored: float | None) -> dict[str, Any]:
        if monitored is None:
            raise TypeError("ReduceLROnPlateau looks at a cost: optimizer.end_epoch(value), of a validation")
        a = float(monitored)
        best, bad, cooling, reductions = (progress[name] for name in ("best", "bad", "cooling", "reductions"))
        if self._better(a, best):
            best, bad = a, 0
        else:
            bad += 1
        if cooling:
            bad, cooling = 0, cooling - 1
        if bad > self.patience:
            bad, cooling, reductions = 0, self.cooldown, reductions + 1
        return {"best": best, "bad": bad, "cooling": cooling, "reductions": reductions}

    def count(self, steps: int, progress: dict[str, Any]) -> int:
        return int(progress["reductions"])

    def _better(self, a: float, best: float | None) -> bool:
        sign = 1.0 if self.mode == "min" else -1.0
        if best is None:
            return sign * a < float("inf")
        margin = self.threshold * abs(best) if self.threshold_mode == "rel" else self.threshold
        return sign * a < sign * best - margin
