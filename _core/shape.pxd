# Sizes, rows and kinds: the constants of the layout (layout.pxd passes them on).

cdef enum:
    LANES = 16          # candidates per block: one cache line of float32
    MAX_D = 12          # encoded features, the intercept included
    MAX_PACKED = 78     # MAX_D (MAX_D + 1) / 2, lower triangle by rows
    MAX_SUMS = 91       # packed A, then b, then c
    MAX_COLUMNS = 4
    MAX_LEVELS = 8      # priorities 0 (served first) .. 7
    N_SIGNALS = 2
    U_CELLS = 12        # of a class's claims (claim.pxd)
    H_CELLS = 8
    PAST_JOBS = 32      # ended jobs that a lane remembers the times of
    MASK_WORDS = 64     # 4096 lanes
    LENGTH_LIMIT = 16   # ln(tokens) of a forecast: nobody writes more than 9 million
    LN_LIMIT = 60       # |ln(service)| of a forecast: e^60 s times 2^20 queued jobs still fits float32, so that
                        # no extrapolation makes a cost infinite (no candidate) or NaN

# Rows of one served block (each LANES float32). The first sixteen have fixed places, then d rows of
# the mean, then d (d + 1) / 2 rows of the factor F with F'F = posterior covariance / sigma^2.
cdef enum:
    ROW_SCALE2 = 0      # beta / a, the noise scale squared in ln(seconds)
    ROW_DOF = 1         # 2 a
    ROW_INV_AVAIL = 2   # 1 / posterior mean of availability
    ROW_OFFSET = 3      # seconds added; +inf where the resource is not a candidate of the model
    ROW_COLUMN_MEAN = 4 # what an unknown column is taken to be
    ROW_COLUMN_VAR = 8  # and how unsure that is
    ROW_COLUMN = 12     # stored columns now, encoded (value / scale where the call adds to it); NaN = unknown
    ROW_MEAN = 16
    SERVED_ROWS = 106   # 16 + MAX_D + MAX_PACKED

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
