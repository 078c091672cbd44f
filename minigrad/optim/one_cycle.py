"""OneCycleLR: the learning rate up and down once, and momentum down and up."""

from __future__ import annotations

from typing import Any

from minigrad.checks import require_count, require_flag, require_number
from minigrad.optim.schedules import Schedule, cosine
from minigrad.optim.settings import require_fraction


class OneCycleLR(Schedule):
    """Up from base / div_factor to base in pct_start of total_steps, and down to base / div_factor / final_div_factor.

    base is the learning rate that the optimizer was given.  anneal_strategy is "cos" or "linear".  With cycle_momentum,
    momentum or beta_1 goes down from max_momentum to base_momentum, and up again, at the same time, whatever it is in
    the optimizer; but a momentum of 0 is refused (ValueError).  three_phase=True comes down as it went up, then to the
    end.  Counted in steps; after total_steps it stays at the end.
    Smith and Topin, "Super-convergence: very fast training of neural networks using large learning rates", 2018.
    """

    each = "step"

    def __init__(
        self,
        total_steps: int,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        *,
        each: str | None = None,
    ) -> None:
        super().__init__(each=each)
        self.total_steps = require_count(OneCycleLR, "total_steps", total_steps)
        self.pct_start = require_number(OneCycleLR, "pct_start", pct_start, above=0.0)
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR expects anneal_strategy to be 'cos' or 'linear', got {anneal_strategy!r}")
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = require_flag(OneCycleLR, "cycle_momentum", cycle_momentum)
        self.base_momentum = require_fraction(OneCycleLR, "base_momentum", base_momentum)
        self.max_momentum = require_fraction(OneCycleLR, "max_momentum", max_momentum)
        self.div_factor = require_number(OneCycleLR, "div_factor", div_factor, above=0.0)
        self.final_div_factor = require_number(OneCycleLR, "final_div_factor", final_div_factor, above=0.0)
        self.three_phase = require_flag(OneCycleLR, "three_phase", three_phase)
        top, last = self.pct_start * self.total_steps - 1, float(self.total_steps - 1)
        # The steps at which the phases begin and end.
        self._places = [0.0, top, 2 * top, last] if self.three_phase else [0.0, top, last]
        if sorted(set(self._places)) != self._places:
            raise ValueError(
                f"OneCycleLR expects steps for each phase, got total_steps={total_steps} with pct_start={pct_start}: "
                "pass more steps, or another pct_start"
            )

    def rate(self, base: float, count: int) -> float:
        low, end = base / self.div_factor, base / self.div_factor / self.final_div_factor
        return self._course([low, base, low, end] if self.three_phase else [low, base, end], count)

    def settings(self, base: dict[str, Any], count: int) -> dict[str, Any]:
        changed = super().settings(base, count)
        if self.cycle_momentum:
            high, low = self.max_momentum, self.base_momentum
            momentum = self._course([high, low, high, high], count)
            changed |= {"betas": (momentum, base["betas"][1])} if "betas" in base else {"momentum": momentum}
        return changed

    def require_settings(self, who: Any, settings: dict[str, Any]) -> None:
        if self.cycle_momentum and not {"momentum", "betas"} & settings.keys():
            raise ValueError(f"{who.__name__} has no momentum to cycle: OneCycleLR(..., cycle_momentum=False)")
        if self.cycle_momentum and settings.get("momentum") == 0:
            raise ValueError(
                f"{who.__name__} has momentum 0, and OneCycleLR would bring some in: pass "
                f"momentum={self.max_momentum}, or OneCycleLR(..., cycle_momentum=False)"
            )

    def _course(self, stations: list[float], count: int) -> float:
        """From station to station, one for each place."""
        places, i = self._places, 1
        at = min(float(count), places[-1])
        while at > places[i]:
            i += 1
        part = (at - places[i - 1]) / (places[i] - places[i - 1])
        first, second = stations[i - 1], stations[i]
        return cosine(first, second, part) if self.anneal_strategy == "cos" else first + (second - first) * part
