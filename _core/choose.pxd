# The choice: a pure function of costs, loads and a generator.
from libc.math cimport INFINITY

from _core.layout cimport Load, MASK_WORDS, uint64_t
from _core.versions cimport kernels, tie_limit
from _core.wait cimport n_open

cdef extern from *:
    int first_bit "__builtin_ctzll"(uint64_t word) nogil


cdef inline uint64_t splitmix(uint64_t* seed) noexcept nogil:
    """SplitMix64 (Steele, Lea, Flood 2014): spreads a small seed over the generator's state."""
    cdef uint64_t z
    seed[0] += <uint64_t>0x9E3779B97F4A7C15
    z = seed[0]
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)


cdef inline uint64_t rotl(uint64_t v, int k) noexcept nogil:
    return (v << k) | (v >> (64 - k))


cdef inline uint64_t draw(uint64_t* s) noexcept nogil:
    """xoshiro256++ 1.0 (Blackman, Vigna 2019)."""
    cdef uint64_t out = rotl(s[0] + s[3], 23) + s[0]
    cdef uint64_t t = s[1] << 17
    s[2] ^= s[0]
    s[3] ^= s[1]
    s[1] ^= s[2]
    s[0] ^= s[3]
    s[2] ^= t
    s[3] = rotl(s[3], 45)
    return out


cdef inline void mask_cost(float* cost, const uint64_t* mask, int n_lanes) noexcept nogil:
    """Costs of lanes whose bit is off become +inf."""
    kernels.mask(cost, mask, n_lanes)


cdef inline float least_of(const float* cost, int n_lanes) noexcept nogil:
    return kernels.least(cost, n_lanes)


cdef inline bint ties(float cost, float least) noexcept nogil:
    return least <= cost <= tie_limit(least) or cost <= least <= tie_limit(cost)


cdef inline int choose(
    const float* cost, const Load* load, int n_lanes, uint64_t* rng, int* n_tied
) noexcept nogil:
    """The lane of least cost. Within 1e-4 of it: the smaller number of open jobs, then the generator, never the
    position. cost is padded with +inf to whole blocks. -1 when every cost is +inf. n_tied: among how many the generator drew  # OUT."""
    cdef uint64_t[MASK_WORDS] tied      # NaN is no candidate either
    cdef uint64_t word
    cdef int lane, jobs, w, fewest = 0, chosen = -1
    n_tied[0] = 0
    if kernels.tied(cost, n_lanes, tied) == INFINITY:
        return -1
    for w in range((n_lanes + 63) >> 6):
        word = tied[w]
        while word:
            lane = 64 * w + first_bit(word)
            word &= word - 1
            jobs = n_open(load + lane)
            if chosen < 0 or jobs < fewest:
                chosen = lane
                fewest = jobs
                n_tied[0] = 1
            elif jobs == fewest:
                n_tied[0] += 1
                if draw(rng) % n_tied[0] == 0:
                    chosen = lane
    return chosen
