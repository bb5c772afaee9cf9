# A call's candidates as bits, 64 lanes a word.

cdef extern from *:
    """
    /* An int as n bytes, the lowest first; 0 where it is negative or does not fit. */
    static inline int tw_bytes_of(PyObject *v, unsigned char *out, size_t n)
    {
    #if PY_VERSION_HEX >= 0x030D0000
        const int flags = Py_ASNATIVEBYTES_LITTLE_ENDIAN | Py_ASNATIVEBYTES_UNSIGNED_BUFFER
            | Py_ASNATIVEBYTES_REJECT_NEGATIVE;
        Py_ssize_t needed = PyLong_AsNativeBytes(v, out, (Py_ssize_t)n, flags);
        int fits = needed >= 0 && needed <= (Py_ssize_t)n;
    #else
        int fits = _PyLong_AsByteArray((PyLongObject *)v, out, n, 1, 0) == 0;
    #endif
        if (!fits)
            PyErr_Clear();
        return fits;
    }

    /* The lowest byte first, whatever the machine's own order. */
    static inline uint64_t tw_word_at(const unsigned char *p)
    {
        return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 | (uint64_t)p[4] << 32
            | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
    }

    /* Bit i: whether byte i of v is not zero. */
    static inline uint64_t tw_true_bytes(uint64_t v)
    {
        const uint64_t low = 0x7f7f7f7f7f7f7f7fu;
        return ((((v & low) + low) | v) >> 7 & 0x0101010101010101u) * 0x0102040810204080u >> 56;
    }
    """
    bint bytes_of "tw_bytes_of"(PyObject* v, unsigned char* out, size_t n)
    uint64_t word_at "tw_word_at"(const unsigned char* p) nogil
    uint64_t true_bytes "tw_true_bytes"(uint64_t v) nogil


cdef bint read_bits(mask, int n, uint64_t* words) noexcept:
    """Of an int. Returns False where it is negative or has a bit beyond n."""
    cdef unsigned char[8 * MASK_WORDS] bytes
    cdef int w, n_words = (n + 63) >> 6
    if not bytes_of(<PyObject*>mask, bytes, 8 * n_words):
        return False
    for w in range(n_words):
        words[w] = word_at(bytes + 8 * w)
    return n & 63 == 0 or words[n >> 6] >> (n & 63) == 0


cdef void read_bools(cnp.ndarray mask, int n, uint64_t* words) noexcept:
    cdef const unsigned char* entry = <const unsigned char*>cnp.PyArray_DATA(mask)
    cdef Py_ssize_t stride = cnp.PyArray_STRIDE(mask, 0)
    cdef uint64_t word
    cdef int lane, i
    for lane in range(0, n, 64):
        word = 0
        if stride == 1 and n - lane >= 64:      # one by one they take ten times as long
            for i in range(8):
                word |= true_bytes(word_at(entry + 8 * i)) << (8 * i)
        else:
            for i in range(min(64, n - lane)):
                word |= <uint64_t>(entry[i * stride] != 0) << i
        words[lane >> 6] = word
        entry += 64 * stride


cdef int read_mask(mask, int n, uint64_t* words) except -1:
    """words ((n + 63) // 64,)  # OUT; n: lanes"""
    if isinstance(mask, int) and not isinstance(mask, bool):
        if read_bits(int(mask), n, words):      # an int of the user's own says itself which one it is
            return 0
    elif type(mask) is cnp.ndarray and cnp.PyArray_TYPE(mask) == cnp.NPY_BOOL and cnp.PyArray_NDIM(mask) == 1 \
            and cnp.PyArray_DIM(mask, 0) == n:
        read_bools(mask, n, words)
        return 0
    raise InputError(
        f"mask={mask!r}: a bool array ({n},) or an int with bits below {n} is expected, one per resource")
