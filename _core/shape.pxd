# Sizes, rows and kinds: the constants of the layout (layout.pxd passes them on).

cdef extern from "shape.h" nogil:
    enum:
        LANES
        MAX_D
        PADDED_D
        MAX_PACKED
        CLOSE
        MAX_SUMS
        MAX_COLUMNS
        MAX_LEVELS
        N_SIGNALS
        U_CELLS
        H_CELLS
        PAST_JOBS
        MASK_WORDS
        SEVERAL
        N_POOLED
        LENGTH_LIMIT
        LN_LIMIT

    enum:
        ROW_SCALE2
        ROW_DOF
        ROW_INV_AVAIL
        ROW_OFFSET
        ROW_COLUMN_MEAN
        ROW_COLUMN_VAR
        ROW_COLUMN
        ROW_MEAN
        SERVED_ROWS

    ctypedef struct WaitBlock "tw_wait_block":
        double residual_s[LANES]
        double slope[LANES]
        double since_s[LANES]
        double inv_slots[LANES]
        float crowd[LANES]
        float pace[LANES]
        double ahead_s[MAX_LEVELS * LANES]

    ctypedef struct Stake "tw_stake":
        int model, level
        float left_s, patience

cdef enum ColumnKind:
    COLUMN_GIVEN = 0
    COLUMN_RUNNING = 1
    COLUMN_WAITING = 2
    COLUMN_IN_FLIGHT = 3
    COLUMN_REPORTED = 4
    COLUMN_PREFILL = 5
    COLUMN_KV = 6

cdef enum Mode:         # ordered: up to MODE_PART we promise, up to MODE_SHADOW we learn
    MODE_ACTIVE = 0     # we decide
    MODE_PART = 1       # we decide for the rollout share, the default stands for the rest
    MODE_SHADOW = 2     # the default stands; it is counted and learned from
    MODE_FROZEN = 3     # we decide, nothing is learned
    MODE_BYPASS = 4     # the default stands; nothing is decided, counted or learned

cdef enum TicketState:
    TICKET_FREE = 0
    TICKET_QUEUED = 1
    TICKET_RUNNING = 2
    TICKET_RIDING = 3   # served in the run of another ticket, and in no account of the lane (together.pxd)
