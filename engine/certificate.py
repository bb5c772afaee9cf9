"""The certificate of a class: what was promised to its jobs against what became of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

__all__ = ["Certificate", "drift_line", "summarise_promises"]

#: Chance that `disagree` is ever true of claims that are right.
FALSE_ALARM = 0.01
#: Tightest after about 1000 jobs: n / 4 over 2 ln(1 / FALSE_ALARM) + ln of as much.
_MIXTURE = 20.0


@dataclass(frozen=True, slots=True)
class Certificate:
    """Two statements on the jobs of one class, both without any assumption on latencies.

    **The bound.** `observed` is the share of jobs that ended within the `bound_s` issued with their ticket, `target`
    the class's on_time. |observed - target| <= `bound` always, whatever the latencies and the choices, even an
    adversary's (Gibbs and Candes 2021, adaptive conformal inference, with delayed reports):
    bound = (max(alpha1, 1 - alpha1) + eta (1 + most_open)) / (n eta), alpha1 = 1 - target,
    eta = min(.02, alpha1 / 2).
    What it needs, and how it is kept: the error level is never clipped, but derived from the counts; a bound issued
    at a level <= 0 is endless and counts as held, one issued at a level >= 1 is 0 and counts as missed (`vacuous`
    is their share: of them the statement says nothing); each job is judged by the bound issued with its first ticket;
    each promise reports at most once; eta is fixed.

    **The claim.** `claimed` is the mean `p_on_time` of the same jobs, `on_time` the share that met the deadline. If
    every job's chance were its claim, |claimed - on_time| would exceed `tolerance` at no time, however often one
    looks, but with a chance of 1%; `disagree` says that it does. See `drift_line`.

    Fixed rule: a completed job counts by its completion time; a failed, timed-out or dropped one, and one cancelled
    from its deadline on, as never completed; one cancelled earlier, a refused one, and one outside of the promise (a
    probe, or a decision of shadow, bypass or frozen mode) count in neither.

    A job counts once, however many tickets it has had. What is promised is what its first ticket said, and time
    counts from that decision. The first of its tickets to complete settles it; one that ends in any other way leaves
    it to those still open (`ticket.copy`) or to the next try (`ticket.retry` of an open ticket), and the last one's
    end is the job's. After `ticket.fail()` the job has failed: what is tried later is outside of the promise.

    Of a class that bounds the first token or the pace, a completed answer counts in neither where that was never
    said (`ticket.first()`, and with a tpot_s `ticket.complete(tokens=)`): whether the promise was kept is unknown.
    `untold` is how many they were.

    `open` promises have not been settled yet; at most `most_open` were open at once. Shares are None while n is 0.
    """

    qos: str
    target: float
    observed: float | None
    bound: float
    n: int
    open: int
    most_open: int
    vacuous: float | None
    claimed: float | None
    on_time: float | None
    tolerance: float
    untold: int

    @property
    def disagree(self) -> bool:
        """True when claims that are right would have drifted this far from what happened with a chance below 1%."""
        if self.claimed is None or self.on_time is None:
            return False
        return abs(self.claimed - self.on_time) > self.tolerance

    def __str__(self) -> str:
        rest = f"{self.open} open" + (f", {self.untold} untold" if self.untold else "")
        if self.observed is None or self.claimed is None or self.on_time is None or self.vacuous is None:
            return f"{self.qos}: no job has ended yet, {rest}"
        verdict = "DISAGREE" if self.disagree else "agree"
        return (
            f"{self.qos}: {self.observed:.4f} of {self.n} jobs ended within their bound (target {self.target:g}, "
            f"guaranteed within {self.bound:.2g}; {self.vacuous:.1%} of the bounds were vacuous); "
            f"claimed on time {self.claimed:.4f}, observed {self.on_time:.4f}: they {verdict} "
            f"(tolerance {self.tolerance:.2g}); {rest}"
        )


def drift_line(n: int, n_open: int) -> float:
    """What |sum of (claim - outcome)| of right claims stays below at all n together, with chance 1 - FALSE_ALARM.

    In the order of issue the sum S is a martingale if each job's chance, given the jobs before it, is its claim. A
    step lies within an interval of length 1, so exp(l S - l^2 n / 8) is a supermartingale (Hoeffding's lemma); mixed
    over l ~ N(0, 1 / r) it is sqrt(r / (n/4 + r)) exp(S^2 / 2 (n/4 + r)), which exceeds 1 / FALSE_ALARM at some n
    with at most that chance (Ville; Robbins 1970). Only reported jobs are summed, in the order in which they ended:
    the n_open others are issued steps too, and each may shift the sum by 1.
    """
    spread = (n + n_open) / 4.0 + _MIXTURE
    return math.sqrt(spread * (math.log(spread / _MIXTURE) - 2.0 * math.log(FALSE_ALARM))) + n_open


def summarise_promises(qos: str, raw: dict[str, Any]) -> Certificate:
    """From the core's counts (see `Core.certificate`)."""
    n, alpha1, eta = int(raw["n"]), float(raw["target"]), float(raw["eta"])

    def share(count: float) -> float | None:
        return count / n if n else None

    return Certificate(
        qos=qos,
        target=1.0 - alpha1,
        observed=share(n - raw["n_missed"]),
        bound=(max(alpha1, 1.0 - alpha1) + eta * (1 + raw["most_open"])) / (n * eta) if n else math.inf,
        n=n,
        open=int(raw["n_open"]),
        most_open=int(raw["most_open"]),
        vacuous=share(raw["n_vacuous"]),
        claimed=share(raw["claimed"]),
        on_time=share(raw["n_on_time"]),
        tolerance=drift_line(n, int(raw["n_open"])) / n if n else math.inf,
        untold=int(raw["n_untold"]),
    )
