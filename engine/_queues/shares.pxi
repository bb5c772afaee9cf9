# Bounded starvation: which class is owed the next start of a resource.

#: Twenty times .05 in floating point may fall short of 1 by a rounding.
cdef double ROUNDING = 1e-9


@cython.final
cdef class Shares:
    """Credit by lane and group: a group earns its share of a start with every start of the lane while it waits,
    and pays 1 for each of its own. One whose credit would reach 1 with the next start is owed that start.

    So of any n starts in a row of a lane throughout which a group waits, it gets at least floor(share n) when it
    is the only one with a share; among G groups whose shares add up to at most 1, at most G - 1 fewer.
    Group 0 is everybody else: no share, no credit. A start costs O(G).
    """

    cdef readonly list share, credit    # by group; by lane, then by group

    def __cinit__(self, list shares):
        """shares: by group, from group 1 on, each in (0, 1)."""
        self.share = [0.0, *shares]
        self.credit = []

    cdef void add_lane(self):
        self.credit.append([0.0] * len(self.share))

    cdef int owed(self, int lane, list waits):
        """The group that gets the lane's next start whatever its priority; 0 = none. waits: by group."""
        cdef list credit = self.credit[lane]
        cdef double most = 1.0 - ROUNDING, next_credit
        cdef int chosen = 0, group
        for group in range(1, len(self.share)):
            next_credit = <double>credit[group] + <double>self.share[group]
            if waits[group] and next_credit >= most:
                chosen, most = group, next_credit + ROUNDING
        return chosen

    cdef void started(self, int lane, int group, list waits):
        """A job of `group` starts on the lane. waits: by group, this job included."""
        cdef list credit = self.credit[lane]
        cdef int other
        for other in range(1, len(self.share)):
            if waits[other]:
                credit[other] = <double>credit[other] + <double>self.share[other]
        if group:
            credit[group] = max(<double>credit[group] - 1.0, 0.0)
