"""What an operator may do to an engine at any moment."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.guarantees.machine import RESOURCES, Machine

__all__ = ["NAMES", "Operated", "seconds"]

NAMES = [resource.name for resource in RESOURCES]
seconds = st.one_of(st.floats(1e-9, 1e6), st.floats(0.001, 0.1))


class Operated(Machine):
    """Modes, resources that come and go, models that are loaded and unloaded."""

    @rule(
        mode=st.sampled_from(["active", "active", "shadow", "bypass", "frozen"]),
        rollout=st.sampled_from([1.0, 0.5, 0.0]),
    )
    def switch(self, mode: str, rollout: float) -> None:
        self.engine.mode(mode, rollout=rollout)  # type: ignore[arg-type]

    @rule(name=st.sampled_from(NAMES), on=st.booleans())
    def drain(self, name: str, on: bool) -> None:
        if name in self.there:
            (self.engine.drain if on else self.engine.undrain)(name)
            (self.shut.add if on else self.shut.discard)(name)

    @rule(name=st.sampled_from(NAMES))
    def add_or_remove(self, name: str) -> None:
        if name not in self.there:
            self.there[name] = self.again(name)
            self.engine.add(self.there[name])
        elif len(self.there) > 2:
            self.engine.remove(name)
            del self.there[name]
            self.shut.discard(name)

    @rule(name=st.sampled_from(NAMES), model=st.sampled_from([None, "plain", "stream"]))
    def forget(self, name: str, model: str | None) -> None:
        if name in self.there:
            self.engine.reset(name, model)

    @rule(name=st.sampled_from(NAMES))
    def operator_says_it_changed(self, name: str) -> None:
        if name in self.there:
            self.engine.changed(name)
            assert self.engine.take_disturbed() >> self.engine.lane(name) & 1
            assert self.engine.take_disturbed() == 0

    @rule(
        name=st.sampled_from(NAMES),
        model=st.sampled_from(["plain", "stream"]),
        load_s=st.one_of(st.none(), seconds),
    )
    def load(self, name: str, model: str, load_s: float | None) -> None:
        if name not in self.there or self.engine.lane(name) not in self.engine.candidates(model):
            return
        if load_s is None:
            self.engine.loaded(name, model)
        else:
            self.engine.unloaded(name, model, load_s)
        assert self.engine.profile(name, model).load_s == (load_s or 0.0)
