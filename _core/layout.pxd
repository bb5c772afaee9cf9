# Data only: every struct lies in one flat zeroed block (no pointers inside, indices instead), so that
# the block can move into shared memory. Units: seconds float64, clock readings int64 nanoseconds.
from libc.stdint cimport int8_t, int32_t, int64_t, uint32_t, uint64_t

from _core.evidence cimport *
from _core.shape cimport *

cdef struct Profile:                 # belief about one (model, resource)
    Evidence signal[N_SIGNALS]
    Offset offset[N_SIGNALS]
    Drift drift[N_SIGNALS]
    double floored[N_SIGNALS * MAX_D]  # what the floor under load slopes took from each served coefficient
    int64_t heard                    # head.n_told when the offset was worked out
    int64_t decayed_ns               # the sums are weighted as of this moment
    int64_t served_ns                # when the served copy was last rebuilt
    Work work                        # behind throughput
    double succeeded, failed         # decayed counts behind availability
    Given given
    int64_t n_results                # completed + failed, ever
    int64_t n_gaps                   # of its lane, when a job last completed (warmup.pxd)
    int64_t probed_ns                # when a job last passed as a probe (see probe.pxd)
    int64_t doubted_until            # n_results up to which nothing is refused by it and it is probed, since it became faster
    int64_t pending[N_SIGNALS]       # results since the served copy was rebuilt
    int64_t n_served                 # how often served rows of it were written: a forecast of an equal count is today's
    Joint joint
    double load_s                    # what loading the model would make a job wait; 0 = it is loaded (loading.pxd)

cdef struct Length:                  # tokens of one model's answers, all resources together; x (n_request,)
    Evidence data                    # y = ln(tokens) - y0
    double y0
    double mean[MAX_D]               # the posterior, as of the last rebuild
    double factor[MAX_PACKED]
    double scale2, dof
    int64_t decayed_ns, pending

cdef struct Pool:                    # lanes that reported last (pool.pxd)
    uint64_t lanes[MASK_WORDS]       # bit set of them
    int32_t lane[N_POOLED]           # a ring, by when they came in
    int32_t n, next                  # how many; the place of the next one, which is the first one's when all are taken

cdef struct ModelInfo:
    int32_t d, n_features, n_columns, n_given, n_signals, counts_tokens
    int32_t n_candidates             # lanes that can run it, shut ones too
    int32_t n_request                # 1 + features + knees; in x the columns follow, then their squares and products
    double tau_s                     # forgetting time constant of its profiles; inf = none
    double y0[N_SIGNALS]             # ln(seconds) that the sums are centred on
    int32_t has_y0[N_SIGNALS]
    double ln_typical[PADDED_D]      # per feature: z = ln(u) less this
    int64_t plain[PADDED_D]          # per feature; -1 = it has no typical value: z = ln(1 + u)
    int32_t knee[MAX_D]              # per feature; 1 adds ln cosh z
    int32_t n_plain, n_knees
    int32_t column_kind[MAX_COLUMNS]
    double column_scale[MAX_COLUMNS]
    int32_t given_row[MAX_COLUMNS]   # row of Z that the column is, or that is added to it; -1 = none
    int32_t square[MAX_COLUMNS]      # index in x of the column's square; 0 = none
    int32_t product[MAX_COLUMNS]     # index in x of its product with x[factor]; 0 = none
    int32_t factor[MAX_COLUMNS]
    int32_t n_terms                  # squares and products
    int32_t prompt                   # index in x of the prompt's tokens; 0 = jobs are counted without tokens
    double prompt_typical            # of that feature; 0 = ln(1 + u)
    int32_t items, _pad3             # index in x of a job's items; 0 = one item a job
    double items_typical             # of that feature; 0 = ln(1 + u)
    int32_t is_load[MAX_D]           # by index in x: more of it never speeds a job up
    uint64_t untried[MASK_WORDS]     # bit set: candidate that has not shown one result
    uint64_t absent[MASK_WORDS]      # bit set: lane that has not loaded it; how many there are:
    int32_t n_absent, joins          # 1 = jobs of it were served together once
    uint64_t seen[N_SIGNALS * MASK_WORDS]    # by signal, bit set: lane with a time in its sums; the others are cold
    int32_t next_cold[N_SIGNALS]     # word of `seen` whose cold lanes are served next
    Pool pool
    Length length                    # two signals: of answers
    int64_t next_probe_ns, next_stale_ns     # before that no ejected candidate is due for a probe, no silent one is asked
    uint64_t recovering[MASK_WORDS]  # bit set: its last result was faster than believed, the next may come at once
    int32_t n_pardoned, stale_from   # ejected lanes that take this model's jobs all the same; where the look for silent ones goes on
    uint64_t pardoned_open[MASK_WORDS]   # head.open_lanes and those; of meaning while n_pardoned > 0

cdef struct Breaker:                 # of one lane (health.pxd); zero = closed, nothing known against it
    int32_t n_failures               # in a row
    int32_t step                     # how often the backoff doubled; 0 = never opened, well since, or said to have changed
    int32_t probe                    # 1 + index of the ticket whose end decides; 0 = none out
    int32_t held                     # open until until_ns because the resource asked for it
    double failing                   # decayed share of failures
    int64_t opened_ns, closed_ns     # when it last did
    int64_t until_ns                 # end of the backoff: then one probe

cdef struct HealthRules:             # zero = no breaker
    int32_t consecutive_failures, _pad
    double min_success, backoff_s, max_backoff_s, max_ejected

cdef struct Foreign:                 # jobs of others on one lane (foreign.pxd); zero = nothing reported
    double running, waiting          # how many there were, >= 0
    int64_t running_ns, waiting_ns   # and when
    double each_s                    # what one of them is taken to need; > 0 once anything was reported
    double n_services                # own services behind the next two, at most 32
    double mean_s, square_s2         # E[service], E[service^2]
    int64_t past_came_ns[PAST_JOBS]  # own jobs that left last: ended, or moved away; start INT64_MAX = never started
    int64_t past_start_ns[PAST_JOBS]
    int64_t past_left_ns[PAST_JOBS]
    int32_t next_past, _pad

cdef struct Load:                    # one resource's own account of its jobs
    int32_t slots, in_order          # in_order: fifo, starts are inferred; else the queue's owner says
    int32_t n_running, n_waiting     # open tickets; those of n_queued together
    int32_t drained, ejected         # by the operator, by the breaker; 0 = takes jobs
    int32_t removed                  # its resource is gone (drained for good); the lane is used again once no ticket is open
    int32_t kind                     # device class, equal numbers are alike; 0 = not said, alike to none
    int32_t n_queued[MAX_LEVELS]
    double queued_s[MAX_LEVELS]      # sum of E[service]
    double queued_var[MAX_LEVELS]    # sum of Var[service]
    double queued_urgency            # sum of urgency (urgency.pxd)
    double residual_var
    int64_t refresh_ns, freed_ns     # until when the line in WaitBlock holds; when a job last ended
    int64_t n_alarms                 # changes detected or declared
    int64_t next_rebuild             # of an alarm: the model whose served copy follows it next
    double prefill_tokens            # of open jobs before their first token: what they must still read
    double kv_tokens                 # of open jobs: prompts and answers so far
    double kv_queued                 # the part of it that is of queued jobs
    int32_t soft, _pad               # 1: `slots` is max_running, and below it and kv_limit nobody waits
    double kv_limit                  # tokens that its cache holds; 0 = not limited
    double job_left_s                # soft: mean residual of its running jobs, as of the last refresh of the line
    double pace                      # most tokens per second that an open job was promised; 0 = none
    int32_t n_overdue                # running jobs beyond the 99.9% quantile of their forecast, at the last look
    int32_t is_probed                # doubted, but the next job may come
    double doubt                     # odds that the lane hangs (overdue.pxd)
    int64_t look_ns, completed_ns    # when its running jobs are looked at next, and when one last completed
    int64_t idle_ns, n_gaps          # since when it has no job; how many gaps of idle_gap_ns have ended (warmup.pxd)
    int64_t doubted_ns, probe_ns     # since when it is doubted, 0 = it is not; when it is probed next
    int64_t doubt_ns                 # when its doubt may count one more job
    int32_t n_doubted                # overdue jobs that its doubt counts
    int32_t first_running            # ticket indices, -1 = none
    int32_t first_queued[MAX_LEVELS]     # by level; in one line, the first, where the lane is in_order
    int32_t last_queued[MAX_LEVELS]
    double n_past, n_out, out_s      # decayed: jobs past exp(m + 2 s), past exp(m + 4 s), their seconds beyond the former
    Breaker breaker
    Foreign foreign

cdef struct PriceBlock:              # what a second of service on LANES resources takes
    float cost_per_s[LANES], power_w[LANES]

cdef struct Promise:                 # to one job, in one of its open tickets (promise.pxd)
    int32_t made, qos                # 1 = made and not settled; its class
    int32_t binds, _pad              # 1 = it counts: our choice, in active mode, no probe. 0 = it only teaches claims
    int32_t u, h                     # where the forecast lay among its class's claims
    double raw, availability         # P(on time) as forecast, and the part of it that is not about time
    int64_t since_ns                 # when the job's first ticket was decided on; what follows is of that ticket
    double left_s                    # to the deadline
    double claim                     # P(on time) as told
    double m_total, s_total, dof, z_bound    # ln(completion), and the normal deviate (+-inf included) that bound_s is at

cdef struct TicketSlot:
    int32_t state, generation
    int32_t lane, model, level
    int32_t next, prev               # in the lane's running or queued list, or the free list
    int32_t d
    int32_t mate                     # next open ticket of the same job, in a ring; itself when it is the only one
    int32_t overdue, probe           # 1 = was overdue at the last look; was sent where it is to learn
    int32_t n_riders, _pad           # tickets that are served in this one's run (together.pxd)
    int64_t look_ns                  # while it runs: when it may have become overdue
    int64_t arrival_ns, start_ns     # start INT64_MAX = not started: no moment is ever past it
    int64_t came_ns                  # to its lane: its arrival, or when it moved there
    double m, s, dof                 # service forecast: location, spread and degrees of freedom of ln(seconds)
    double mean_s, var_s2            # its moments
    int64_t n_served                 # of the profile, when it was made
    double budget_s                  # to its deadline when it was decided on first
    double urgency                   # what a second costs it while it waits (urgency.pxd)
    double queued_s, queued_var      # what it adds to those of its lane while it waits
    double alone_s                   # of one with riders: sum of E[service] of all of them, each served alone
    double x[PADDED_D]               # the chosen lane's encoded features at the decision
    double prompt, own               # tokens in the cache, tokens to prefill
    double tokens, first_s           # answer so far, 0 = none; seconds from start to its first token
    double pace                      # 1 / what bounds its seconds per token; 0 = not bounded
    Promise promise

cdef struct Claims:                  # what became of forecasts (claim.pxd): by u, then h; counts decayed together
    double settled[U_CELLS * H_CELLS]    # sum of availabilities of the jobs that have reported
    double raw[U_CELLS * H_CELLS]        # and of their P(on time) as forecast
    double on_time[U_CELLS * H_CELLS]    # jobs within their deadline
    double value[U_CELLS * H_CELLS]      # P(on time | available) of those to come
    int64_t built_ns                 # when the values were worked out, and the counts faded
    int64_t n_new                    # reports since

cdef struct Certificate:             # of one QoS class
    double target                    # share of jobs that may miss the bound issued with them: 1 - on_time
    double eta, z                    # step of the error level per report; normal deviate of the bounds issued now
    double claimed                   # sum of claims of the jobs counted in n
    int64_t n, n_missed, n_on_time   # reports; of them beyond bound_s; completed within the deadline
    int64_t n_vacuous                # reports on an endless bound, or on one of 0
    int64_t n_untold                 # promises to streams of which was not said what tells whether they were kept
    int64_t n_open, most_open        # promises open now, and at most at once
    int64_t probed_n                 # n when a job of the class was last sent to a silent lane (stale.pxd)
    Claims claims

cdef struct Header:
    int32_t max_resources, max_models, max_tickets, n_blocks
    int32_t n_resources, n_models, free_ticket, n_open
    int32_t max_classes, n_classes
    int32_t sweep                    # next profile whose served copy is checked for age
    int32_t n_shut                   # lanes that take no jobs: drained, ejected or removed
    int32_t n_tracking               # models with a column that the engine tracks
    int32_t n_unbuilt                # lanes of `unbuilt`
    uint64_t open_lanes[MASK_WORDS]  # bit set: takes jobs
    uint64_t busy[MASK_WORDS]        # bit set: has an open ticket
    uint64_t unbuilt[MASK_WORDS]     # bit set: an alarm went off, and not all its models were rebuilt yet
    uint64_t disturbed[MASK_WORDS]   # bit set: an alarm or the breaker went off since take_disturbed
    int32_t detects_change, mode     # who decides (Mode)
    double rollout                   # share of the jobs that is ours under MODE_PART
    int64_t idle_gap_ns              # a lane without a job for so long is cold again; 0 = never
    int64_t n_untimed                # completions whose clock had gone back since their start
    int64_t next_look_ns             # when some lane's running jobs are looked at next (overdue.pxd)
    int64_t first_look_ns            # of lanes looked at in this pass, and of jobs that started since it began
    int32_t next_look, _pad2         # lane that the pass goes on with
    int64_t start_ns
    double tau_s                     # forgetting time constant of models that have none of their own
    HealthRules health
    int64_t opened_ns                # when a breaker last opened
    uint64_t rng[4]
    int64_t n_clipped, n_abandoned, n_alarms
    int64_t n_told                   # how often a level doubled or halved its evidence

cdef struct State:                   # typed views of the one block
    Header* head
    ModelInfo* model                 # [max_models]
    Load* load                       # [max_resources]
    WaitBlock* wait                  # [n_blocks]
    Profile* profile                 # [max_models, max_resources]
    Level* level                     # [N_SIGNALS, max_models, max_resources]
    TicketSlot* ticket               # [max_tickets]
    Certificate* certificate         # [max_classes]
    float* served                    # [max_models, N_SIGNALS, n_blocks, SERVED_ROWS, LANES]
    float* close                     # [max_models, N_SIGNALS, max_resources, CLOSE]: see close_copy
    PriceBlock* price                # [n_blocks]
    int8_t* excluded                 # [max_models, max_resources], the static bound (Verdict) that keeps a lane out
    float* cost                      # scratch [n_blocks * LANES], and so the next two
    float* service
    float* waiting
    float* given                     # scratch [MAX_COLUMNS, n_blocks * LANES]: by column, where Z has a part in it
    Load* kept_load                  # scratch like `load` and `wait`, for prefer
    WaitBlock* kept_wait
    Level* fresh_level               # scratch like `level`, for readers
    float* var                       # scratch of decisions among the feasible, [n_blocks * LANES] each: s^2,
    float* model_var                 # the part of it that is not knowing,
    float* mean_s                    # E[service],
    float* wait_sd
    float* on_time                   # raw P(on time),
    float* fits                      # what a bound compares,
    float* drawn                     # median service as the policy takes it,
    float* pick                      # the cost of those left to choose from, +inf for the others
    float* pace                      # median seconds per token,
    float* harm                      # seconds that the jobs already there lose by this one


cdef inline float* served_block(const State* st, int model, int signal, int block) noexcept nogil:
    cdef int64_t index = (<int64_t>model * N_SIGNALS + signal) * st.head.n_blocks + block
    return st.served + index * SERVED_ROWS * LANES


cdef inline float* close_copy(const State* st, int model, int signal, int lane) noexcept nogil:
    """mean (PADDED_D,) and F (d, close_rows(d)) by columns, zeros above its diagonal, of one lane: in a served block
    each of the numbers has a cache line of its own, and the chosen lane's are read in every decision."""
    cdef int64_t index = (<int64_t>model * N_SIGNALS + signal) * st.head.max_resources + lane
    return st.close + index * CLOSE


cdef inline int close_rows(int d) noexcept nogil:
    """d in whole vectors of 8."""
    return 8 if d <= 8 else PADDED_D


cdef inline Profile* profile_at(const State* st, int model, int lane) noexcept nogil:
    return st.profile + <int64_t>model * st.head.max_resources + lane


cdef inline Level* levels_of(const State* st, Level* table, int model, int signal) noexcept nogil:
    """[max_resources] of one model in `st.level` or `st.fresh_level`."""
    return table + (<int64_t>signal * st.head.max_models + model) * st.head.max_resources


cdef inline double seconds_at(const State* st, int64_t now_ns) noexcept nogil:
    """Seconds since the engine started: float64 holds that to the nanosecond for 100 days."""
    return <double>(now_ns - st.head.start_ns) * 1e-9
