# Moments in order: the one heap under queues, expiry and timers.

#: Places that were closed and that a heap keeps at most, beside as many as are open.
cdef enum: SPARE = 64


cdef class Place:
    """Something that waits for a moment. Whoever closes it lets the thing go; the place stays until it surfaces."""

    cdef int64_t level, at_ns, number   # by urgency, then by moment, then by order of arrival
    cdef readonly bint open


cdef inline bint precedes(Place a, Place b, bint by_level) noexcept:
    if by_level and a.level != b.level:
        return a.level < b.level
    if a.at_ns != b.at_ns:
        return a.at_ns < b.at_ns
    return a.number < b.number


@cython.final
cdef class Heap:
    """Places, the first on top. by_level: an urgent one precedes an early one; else levels are not looked at.

    A place may be in several heaps, so a closed one is not sought: it is dropped once it surfaces, or with all others
    once most are closed.
    """

    cdef list places
    cdef bint by_level

    def __cinit__(self, bint by_level=False):
        self.places = []
        self.by_level = by_level

    def __len__(self):
        """Closed places included."""
        return len(self.places)

    cdef int push(self, Place place, Py_ssize_t n_open) except -1:
        """n_open: places here that are open, at most. Cost O(log n) amortised."""
        cdef list places = self.places
        cdef Py_ssize_t at
        if len(places) > 2 * n_open + SPARE:
            self.sweep()
            places = self.places
        at = len(places)
        places.append(place)
        self.rise(at, place)
        return 0

    cdef Place top(self):
        """The first that is open, or None. Closed ones before it are dropped."""
        cdef Place place
        while self.places:
            place = <Place>self.places[0]
            if place.open:
                return place
            self.drop()
        return None

    cdef int drop(self) except -1:
        """Drops the first."""
        cdef list places = self.places
        cdef Place last = <Place>places.pop(), left, right
        cdef Py_ssize_t n = len(places), at = 0, below
        if n == 0:
            return 0
        while True:
            below = 2 * at + 1
            if below >= n:
                break
            left = <Place>places[below]
            if below + 1 < n:
                right = <Place>places[below + 1]
                if precedes(right, left, self.by_level):
                    below += 1
                    left = right
            if not precedes(left, last, self.by_level):
                break
            places[at] = left
            at = below
        places[at] = last
        return 0

    cdef int rise(self, Py_ssize_t at, Place place) except -1:
        """Moves the place at `at` up to where it belongs."""
        cdef list places = self.places
        cdef Py_ssize_t above
        cdef Place other
        while at > 0:
            above = (at - 1) >> 1
            other = <Place>places[above]
            if not precedes(place, other, self.by_level):
                break
            places[at] = other
            at = above
        places[at] = place
        return 0

    cdef int sweep(self) except -1:
        """Drops all closed places."""
        cdef list kept = [place for place in self.places if (<Place>place).open]
        cdef Py_ssize_t at
        self.places = kept
        for at in range(1, len(kept)):
            self.rise(at, <Place>kept[at])
        return 0

    cdef list in_order(self):
        """The open ones, the first first. Cost O(n log n)."""
        cdef Heap copy = Heap(self.by_level)
        cdef list found = []
        cdef Place place
        copy.places = list(self.places)
        while (place := copy.top()) is not None:
            found.append(place)
            copy.drop()
        return found
