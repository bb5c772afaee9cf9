"""How the figures of a trial are headed and printed. A figure without a column here is in the JSON only."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from bench.replay.summary import Estimate, Summary

__all__ = ["AHEAD", "CLASS", "WHOLE", "Column", "columns_of", "deadline_text"]


@dataclass(frozen=True, slots=True)
class Column:
    """scale: from the figure's unit to the printed one. error: whether its standard error is printed, too."""

    name: str
    heading: str
    form: str
    scale: float = 1.0
    error: bool = False

    def text(self, estimate: Estimate) -> str:
        """The mean, and `± error` where that is wanted and known; "-" where the figure does not exist."""
        if math.isnan(estimate.mean):
            return "-"
        text = format(self.scale * estimate.mean, self.form)
        if float(text) == 0.0:
            text = format(0.0, self.form)  # no sign on what rounds to nothing
        if not self.error or math.isnan(estimate.error):
            return text
        return f"{text} ± {format(self.scale * estimate.error, self.form.lstrip('+'))}"


#: Of the whole run.
WHOLE = (
    Column("of_oracle_pct", "% of oracle", ".2f"),
    Column("weighted_goodput_per_s", "goodput, weighted/s", ".1f"),
    Column("goodput_per_s", "on time/s", ".1f"),
    Column("on_time", "on time, %", ".2f", 100.0),
    Column("ttft_kept", "TTFT kept, %", ".2f", 100.0),
    Column("tpot_kept", "TPOT kept, %", ".2f", 100.0),
    Column("early_on_time", "first 20 s, %", ".2f", 100.0),
    Column("cached", "history cached, %", ".1f", 100.0),
    Column("dead_share", "sent to dead, %", ".2f", 100.0),
    Column("recovery_s", "recovered, s", ".1f"),
    Column("return_s", "used again, s", ".1f"),
)
#: Of a class.
CLASS = (
    Column("on_time", "on time, %", ".2f", 100.0),
    Column("unanswered", "no answer, %", ".2f", 100.0),
    Column("p50_s", "p50, ms", ".1f", 1e3),
    Column("p99_s", "p99, ms", ".1f", 1e3),
    Column("p999_s", "p99.9, ms", ".1f", 1e3, error=True),
    Column("ttft_p50_s", "TTFT p50, ms", ".0f", 1e3),
    Column("ttft_p99_s", "TTFT p99, ms", ".0f", 1e3),
    Column("tpot_p50_s", "TPOT p50, ms", ".1f", 1e3),
    Column("tpot_p99_s", "TPOT p99, ms", ".1f", 1e3),
    Column("claim_error", "claim - kept", "+.3f"),
    Column("ece", "ECE", ".3f"),
)
#: Paired by seed, in points of the first figure.
AHEAD = Column("ahead", "tailwise ahead by", "+.2f", error=True)


def columns_of(summary: Summary) -> tuple[Column, ...]:
    """Those of the whole run that any policy has; the weighted goodput only where some class weighs more. Where no
    oracle played it is the share on time that has a standard error."""
    plain = all(
        t.figures.get("weighted_goodput_per_s") == t.figures.get("goodput_per_s") for t in summary.trials
    )
    hidden = {"weighted_goodput_per_s"} if plain else set()
    first = "of_oracle_pct" if summary.has("of_oracle_pct") else "on_time"
    shown = (c for c in WHOLE if c.name not in hidden and summary.has(c.name))
    return tuple(replace(c, error=c.name == first) for c in shown)


def deadline_text(summary: Summary, qos: str) -> str:
    """The class and its deadline, where it has one."""
    deadline_s = summary.class_figure(summary.policies[0], qos, "deadline_s").mean
    return qos if math.isnan(deadline_s) else f"{qos}, {1e3 * deadline_s:g} ms"
