"""What the executor refuses before the first job."""

import pytest
import torch

import tailwise as tw
from tailwise.adapters.torch import Executor, Thread

PLAIN = tw.Model("m")
LATE = tw.QoS("q", 1.0)


@pytest.mark.parametrize(
    ("model", "qos", "message"),
    [
        (tw.Model("m", columns=(tw.Column("own", scale=1.0),)), LATE, "needs own with each job"),
    ],
)
def test_what_cannot_be_served_is_refused_at_once(model: tw.Model, qos: tw.QoS, message: str) -> None:
    engine = tw.Engine([tw.Resource("cpu")], [model], [qos])
    with pytest.raises(tw.ConfigError, match=message):
        Executor(engine, {"m": torch.nn.Identity()}, {"cpu": Thread("cpu")})


def test_a_deadline_of_centuries_does_not_end_the_timer() -> None:
    engine = tw.Engine([tw.Resource("cpu")], [PLAIN], [tw.QoS("q", 1e10)])
    rules = tw.Rules(re_decide=False, hedge=False)
    with Executor(engine, {"m": torch.nn.Identity()}, {"cpu": Thread("cpu")}, rules=rules) as executor:
        futures = [executor.submit("m", "q", torch.ones(2)) for _ in range(20)]
        assert all(torch.equal(f.result(10), torch.ones(2)) for f in futures)
        assert executor._timer.alive
