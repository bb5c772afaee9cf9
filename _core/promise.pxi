# What was promised to each class and what became of it, for people and tests.

@cython.no_gc_clear
cdef class Promises(Changes):
    """Classes in, certificates out."""

    @cython.critical_section
    def add_class(self, double on_time):
        """Appends a QoS class; returns its index. Raises CapacityError."""
        cdef int q = self.st.head.n_classes
        if q >= self.st.head.max_classes:
            raise CapacityError(f"{q} QoS classes are the engine's capacity: build it with more")
        certify(self.st.certificate + q, 1.0 - on_time)
        build_claims(&self.st.certificate[q].claims, self.last_ns)
        self.st.head.n_classes += 1
        return q

    @cython.critical_section
    def certificate(self, int qos):
        """The counts of one class, and its error level alpha now."""
        cdef const Certificate* c = self.st.certificate + qos
        return dict(
            target=c.target, eta=c.eta, alpha=error_level(c), n=c.n, n_missed=c.n_missed, n_on_time=c.n_on_time,
            n_vacuous=c.n_vacuous, n_untold=c.n_untold, n_open=c.n_open, most_open=c.most_open, claimed=c.claimed)

    @cython.critical_section
    def claims(self, int qos):
        """What a class's claims are read from, each (U_CELLS, H_CELLS): counts as of the last rebuild, and values."""
        cdef const Claims* c = &self.st.certificate[qos].claims
        cells = dict(settled=[], raw=[], on_time=[], value=[])
        cdef int k
        for k in range(U_CELLS * H_CELLS):
            cells["settled"].append(c.settled[k])
            cells["raw"].append(c.raw[k])
            cells["on_time"].append(c.on_time[k])
            cells["value"].append(c.value[k])
        return {name: np.reshape(values, (U_CELLS, H_CELLS)) for name, values in cells.items()}

    @cython.critical_section
    def place_claim(self, int qos, double left_s, double mean_s, double spread, double h):
        """Where a forecast lies among a class's claims, in cells along u and h, and their value there, for tests."""
        cdef int u = cell_u(spreads_left(left_s, mean_s, spread)), at = cell_h(h)
        return u / <double>FINE, at / <double>FINE, read_claim(&self.st.certificate[qos].claims, u, at)
