# Times and shares as callers hand them in. What has to be read comes before the clock: a foreign __float__ runs Python.

cdef extern from *:
    """
    /* The floats of a tuple; 0 where one of its n items is another kind of number. */
    static inline int tw_floats_in(PyObject *tuple, int n, double *out)
    {
        for (int i = 0; i < n; i++) {
            PyObject *item = PyTuple_GET_ITEM(tuple, i);
            if (!PyFloat_CheckExact(item))
                return 0;
            out[i] = PyFloat_AS_DOUBLE(item);
        }
        return 1;
    }
    """
    bint floats_in "tw_floats_in"(PyObject* tuple, int n, double* out)


cdef double number_of(str name, value, str expected) except? -1.0:
    """The float that a number is. Raises InputError on a text, a bool, an int that no float holds and anything else."""
    if type(value) is float:
        return PyFloat_AS_DOUBLE(value)
    if not isinstance(value, (bool, np.bool_)):
        try:
            return value
        except (TypeError, ValueError, OverflowError):
            pass
    raise InputError(f"{name}={value!r}: {expected}")


cdef double as_seconds(str name, value) except? -1.0:
    cdef double seconds = number_of(name, value, "seconds as a number are expected")
    if not fabs(seconds) < INFINITY:
        raise InputError(f"{name}={value!r}: seconds must be finite")
    return seconds


cdef double seconds_of(str name, value) except -1.0:
    cdef double seconds = number_of(name, value, "seconds as a number >= 0 are expected")
    if not 0.0 <= seconds < INFINITY:
        raise InputError(f"{name}={value!r}: seconds must be finite and >= 0; a job without an end is fail() or cancel()")
    return seconds


cdef double away_of(value) except -1.0:
    cdef str expected = "seconds in 0..1e9 are expected, None where the resource said nothing"
    cdef double seconds = number_of("retry_after_s", value, expected)
    if not 0.0 <= seconds <= 1e9:
        raise InputError(f"retry_after_s={value!r}: {expected}")
    return seconds


cdef double bonus_of(value) except -1.0:
    cdef double bonus = number_of("bonus", value, "a share in [0, 1) is expected")
    if not 0.0 <= bonus < 1.0:
        raise InputError(f"bonus={value!r}: a share in [0, 1) is expected")
    return bonus


cdef double as_float(value) except? -1.0:
    if type(value) is float:
        return PyFloat_AS_DOUBLE(value)
    try:
        return value
    except (TypeError, OverflowError):
        raise InputError(f"feature value {value!r}: a number that fits a float is expected") from None


cdef as_float64(x, int n):
    """Any real array-like as C-contiguous float64; text and complex numbers are refused, never cast."""
    try:
        array = np.asarray(x)
    except (TypeError, ValueError):
        array = None
    if array is None or array.dtype.kind not in "biuf":
        raise InputError(f"x={x!r}: a tuple of {n} floats or a float64 array ({n},) is expected")
    return np.asarray(array, dtype=np.float64, order="C")


cdef inline bint is_float64_row(cnp.ndarray x):
    return cnp.PyArray_TYPE(x) == cnp.NPY_DOUBLE and cnp.PyArray_ISCARRAY_RO(x)


cdef inline bint is_float64_block(cnp.ndarray Z):
    return cnp.PyArray_TYPE(Z) == cnp.NPY_DOUBLE and cnp.PyArray_NDIM(Z) == 2 and cnp.PyArray_ISCARRAY_RO(Z)
