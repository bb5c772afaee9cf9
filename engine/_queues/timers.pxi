# Things to look at again at a given moment.

@cython.final
@cython.freelist(64)
cdef class Timer(Place):
    """What `Timers.set` hands out, to stop it by."""

    cdef object item

    __class_getitem__ = classmethod(GenericAlias)


@cython.final
cdef class Timers:
    """Moments, the earliest first. A stopped timer lets its item go."""

    cdef readonly Heap _heap
    cdef int64_t n_ever
    cdef Py_ssize_t n_set

    __class_getitem__ = classmethod(GenericAlias)

    def __cinit__(self):
        self._heap = Heap()

    def set(self, item, int64_t at_ns):
        """Returns the timer, by which it is stopped. Cost O(log n) amortised."""
        return self.begin(item, at_ns)

    def stop(self, Timer timer):
        """Nothing happens for None and for one that came due or was stopped already."""
        self.end(timer)

    def next_ns(self):
        """When the next one comes due; None = none does."""
        cdef Place first = self._heap.top()
        return None if first is None else first.at_ns

    def pop(self, int64_t now_ns):
        """The earliest thing whose moment has come, or None."""
        return self.due(now_ns)

    def __len__(self):
        return self.n_set

    cdef Timer begin(self, item, int64_t at_ns):
        cdef Timer timer = Timer.__new__(Timer)
        self.n_ever += 1
        timer.at_ns, timer.number = at_ns, self.n_ever
        timer.item = item
        timer.open = True
        self._heap.push(timer, self.n_set)
        self.n_set += 1
        return timer

    cdef void end(self, Timer timer):
        if timer is not None and timer.open:
            timer.open = False
            timer.item = None
            self.n_set -= 1

    cdef object due(self, int64_t now_ns):
        cdef Timer first = <Timer>self._heap.top()
        if first is None or first.at_ns > now_ns:
            return None
        item = first.item
        self._heap.drop()
        self.end(first)
        return item
