# The collector, kept from the middle of what has to be of one moment: what it ends may run any Python, and so any call.

cdef extern from *:
    """
    /* Until Python 3.12 the collector came where an object was made, and ran any Python; now it waits for Python code. */
    #if PY_VERSION_HEX < 0x030C0000
    #define tw_hold_collector() PyGC_Disable()
    #define tw_release_collector(held) ((void)((held) && PyGC_Enable()))
    #else
    #define tw_hold_collector() 0
    #define tw_release_collector(held) ((void)(held))
    #endif
    """
    int hold_collector "tw_hold_collector"()
    void release_collector "tw_release_collector"(int held)
