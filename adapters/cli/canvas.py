"""What the plots of a run's page are drawn with: colours, panels, and a figure as inline SVG."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from tailwise.errors import MissingExtra

try:
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
except ImportError as error:
    raise MissingExtra("the page of a run needs matplotlib: pip install 'tailwise[cli]'") from error

__all__ = [
    "INK",
    "Canvas",
    "drawing",
    "legend",
    "policy_colours",
    "resource_colours",
    "resource_kinds",
]

#: Okabe and Ito's colours, told apart with any colour vision. Policies and resources never share one, so that
#: a colour means one thing on the whole page; the blue is lightened to 4:1 against both backgrounds.
_POLICIES = ("#1f83c4", "#e69f00", "#009e73", "#cc79a7", "#8c8c00", "#7f6fd0")
_RESOURCES = ("#56b4e9", "#d55e00", "#a5b832", "#b07aa1", "#999999", "#44aa99")
#: Drawn for everything neutral; the page turns it into its own text colour.
INK = "#7f7f7e"
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 9,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.4,
}
_WIDTH_IN = 9.0
_MAX_COLUMNS = 4


def policy_colours(names: Iterable[str]) -> dict[str, str]:
    """One colour a policy, in the order given; they repeat after six."""
    return {name: _POLICIES[i % len(_POLICIES)] for i, name in enumerate(names)}


def resource_kinds(names: Iterable[str]) -> dict[str, list[str]]:
    """Resources by kind, as a legend names it: `cpu-0`, `cpu-1` and so on, copies of one, are "8 x cpu".

    A machine of 64 cores has more copies than there are colours to tell apart.
    """
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(re.sub(r"-\d+$", "", name), []).append(name)
    return {
        copies[0] if len(copies) == 1 else f"{len(copies)} x {kind}": copies for kind, copies in kinds.items()
    }


def resource_colours(kinds: Iterable[str]) -> dict[str, str]:
    """One colour a kind of resource, in the order given; they repeat after six."""
    return {kind: _RESOURCES[i % len(_RESOURCES)] for i, kind in enumerate(kinds)}


class Canvas:
    """A figure of equal panels, at most four side by side. Only inside `drawing`."""

    def __init__(
        self, n_panels: int, height_in: float, *, share_x: bool = False, share_y: bool = False
    ) -> None:
        """n_panels: at least 1; height_in: of one row, in inches of a page 9 inches wide."""
        columns = min(n_panels, _MAX_COLUMNS)
        rows = -(-n_panels // columns)
        layout = ConstrainedLayoutEngine(h_pad=0.08)
        self._figure = Figure(figsize=(_WIDTH_IN, height_in * rows), layout=layout)
        grid = self._figure.subplots(rows, columns, squeeze=False, sharex=share_x, sharey=share_y)
        self.panels: list[Axes] = list(grid.flat)[:n_panels]
        self.first_of_row: list[Axes] = self.panels[::columns]
        for spare in grid.flat[n_panels:]:
            spare.set_axis_off()

    def legend_above(self, axis: Axes) -> None:
        """One legend for all panels, over them, of what `axis` shows."""
        handles, labels = axis.get_legend_handles_labels()
        if handles:
            n_rows = math.ceil(len(labels) / 6)
            # rows as even as can be: seven are four and three
            columns = math.ceil(len(labels) / n_rows)
            self._figure.legend(handles, labels, loc="outside upper left", ncols=columns)

    def svg(self, label: str) -> str:
        """The figure as an <svg> element without a fixed size; `label` is read out in its place."""
        out = io.StringIO()
        self._figure.savefig(out, format="svg", transparent=True, bbox_inches="tight", pad_inches=0.03)
        text = out.getvalue()
        text = text[text.index("<svg") :].replace(INK, "currentColor")
        text = re.sub(r"<metadata>.*?</metadata>", "", text, count=1, flags=re.DOTALL)
        # every figure numbers its groups from 1, and a page must not have an id twice
        text = re.sub(r' id="[\w.]+_\d+"', "", text)
        # the page scales it: a fixed size in points would not fit a narrow window
        text = re.sub(r'(<svg [^>]*?)width="[^"]*pt" height="[^"]*pt"', r"\1", text, count=1)
        return text.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)


@contextmanager
def drawing(name: str) -> Iterator[None]:
    """Applies the page's style; `name` keeps the ids of one plot apart from another's, the same every time."""
    style: Any = _STYLE | {"svg.hashsalt": name}
    with rc_context(style):
        yield


def legend(axis: Axes, **options: Any) -> None:
    """A legend within the panel, where there is something to name."""
    if axis.get_legend_handles_labels()[0]:
        axis.legend(**options)
