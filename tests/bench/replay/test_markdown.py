"""One Markdown table of several scenarios: what is in which cell."""

from __future__ import annotations

from bench.replay.markdown import markdown
from bench.replay.summary import Summary, against_oracle
from bench.replay.trial import Trial


def summary(id: str, goodput: dict[str, tuple[float, float]]) -> Summary:
    """goodput: by policy on two seeds, jobs a second."""
    trials = []
    for seed in (101, 102):
        played = [
            Trial(
                policy,
                seed,
                {"weighted_goodput_per_s": of[seed - 101], "on_time": of[seed - 101] / 200},
                {},
                {},
                0.0,
            )
            for policy, of in goodput.items()
        ]
        trials += against_oracle(played)
    return Summary(id, "", trials)


def rows(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")
    ]


def test_the_best_is_bold_the_oracle_is_left_out_and_ours_has_its_error() -> None:
    """Of 100: 98 and 96 are 97 with a standard error of 1."""
    one = summary("a", {"tailwise": (98, 96), "oracle": (100, 100), "random": (99, 97)})
    two = summary("b", {"tailwise": (90, 90), "oracle": (100, 100), "random": (50, 50)})
    head, _, *body = rows(markdown([one, two]))
    assert head == ["", "tailwise", "random"]
    assert body == [["a", "97.00 ± 1.00", "**98.00**"], ["b", "**90.00 ± 0.00**", "50.00"]]


def test_bare_stands_beside_layered_and_more_policies_than_scenarios_go_down() -> None:
    one = summary("a", {"oracle": (50, 50), "random": (25, 25), "random, bare": (5, 5), "c3, bare": (20, 20)})
    head, _, *body = rows(markdown([one]))
    assert head == ["", "a"]
    assert body == [["random / bare", "**50.00** / 10.00"], ["c3, bare", "40.00"]]


def test_without_an_oracle_shares_on_time_are_shown_and_who_did_not_play_has_none() -> None:
    one = summary("a", {"tailwise": (190, 190), "p": (180, 180), "q": (1, 1)})
    two = summary("b", {"tailwise": (190, 190), "p": (180, 180)})
    text = markdown([one, two])
    assert rows(text)[2:] == [
        ["tailwise", "**95.00 ± 0.00**", "**95.00 ± 0.00**"],
        ["p", "90.00", "90.00"],
        ["q", "0.50", ""],
    ]
    assert "oracle" not in text
