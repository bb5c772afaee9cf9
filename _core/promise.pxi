# What was promised to each class and what became of it, for people and tests.

@cython.no_gc_clear
cdef class Promises(Changes):
    """Classes in, certificates out."""

    def add_class(self, double on_time):
        """Appends a QoS class; returns its index. Raises CapacityError."""
        cdef int q = self.st.head.n_classes
        if q >= self.st.head.max_classes:
            raise CapacityError(f"{q} QoS classes are the engine's capacity: build it with more")
        certify(self.st.certificate + q, 1.0 - on_time)
        self.st.head.n_classes += 1
        return q

    def certificate(self, int qos):
        """The counts of one class, and its error level alpha now."""
        cdef const Certificate* c = self.st.certificate + qos
        return dict(
            target=c.target, eta=c.eta, alpha=error_level(c), n=c.n, n_missed=c.n_missed, n_on_time=c.n_on_time,
            n_vacuous=c.n_vacuous, n_untold=c.n_untold, n_open=c.n_open, most_open=c.most_open, claimed=c.claimed)
