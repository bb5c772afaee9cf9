/* Which candidates are left to choose from, and which of them cost the least. Lanes that are out cost +inf. */
#ifndef TAILWISE_CHOOSE_H
#define TAILWISE_CHOOSE_H
#include "vector.h"
#include "versions.h"

/* Which of TW_WIDTH lanes from `at` on have their bit set. */
TW_INLINE tw_i chosen_at(const uint64_t *words, int at)
{
    tw_i bit = {0};
    for (int i = 0; i < TW_WIDTH; i++)
        bit[i] = 1 << i;
    tw_i bits = (tw_i){0} + (int32_t)((words[at >> 6] >> (at & 63)) & 0xffff);
    return (bits & bit) != 0;
}

/* Costs of lanes whose bit is off become +inf. */
static void mask(float *cost, const uint64_t *words, int n_lanes)
{
    for (int at = 0; at < n_lanes; at += TW_WIDTH)
        tw_store(cost + at, tw_pick(chosen_at(words, at), tw_load(cost + at), tw_splat(INFINITY)));
}

/* The least service of candidates whose bit is off. */
static float fastest(const float *service, const float *cost, const uint64_t *words, int n_lanes)
{
    const tw_v endless = tw_splat(INFINITY);
    tw_v low = endless;
    for (int at = 0; at < n_lanes; at += TW_WIDTH) {
        tw_v s = tw_pick(tw_load(cost + at) < endless, tw_load(service + at), endless);
        low = tw_min(words ? tw_pick(chosen_at(words, at), endless, s) : s, low);
    }
    return tw_least(low);
}

/* Those of cost that fit, the others +inf; 0, and nothing written, when none is left. */
static int narrow(const float *cost, const float *fits, float limit, int n_lanes, float *left)
{
    tw_i any = {0};
    for (int at = 0; at < n_lanes; at += TW_WIDTH)
        any |= (tw_load(fits + at) >= limit) & (tw_load(cost + at) < INFINITY);
    if (!tw_bits(any))
        return 0;
    for (int at = 0; at < n_lanes; at += TW_WIDTH)
        tw_store(left + at, tw_pick(tw_load(fits + at) >= limit, tw_load(cost + at), tw_splat(INFINITY)));
    return 1;
}

/* The least cost: two running minima, since one alone would wait for itself. */
static float least(const float *cost, int n_lanes)
{
    tw_v low = tw_load(cost), high = low;
    int at = TW_WIDTH;
    for (; at + TW_WIDTH < n_lanes; at += 2 * TW_WIDTH) {
        low = tw_min(tw_load(cost + at), low);
        high = tw_min(tw_load(cost + at + TW_WIDTH), high);
    }
    return tw_least(tw_min(at < n_lanes ? tw_min(tw_load(cost + at), low) : low, high));
}

static void narrow_to_least(const float *value, float *cost, int n_lanes)
{
    tw_v low = tw_splat(INFINITY), none = low;
    for (int at = 0; at < n_lanes; at += TW_WIDTH)
        low = tw_min(tw_pick(tw_load(cost + at) < INFINITY, tw_load(value + at), none), low);
    float limit = tw_tie_limit(tw_least(low));
    for (int at = 0; at < n_lanes; at += TW_WIDTH)
        tw_store(cost + at, tw_pick(tw_load(value + at) <= limit, tw_load(cost + at), none));
}

/* A bit for each of up to 64 lanes from `from` on that costs no more than the limit. */
TW_INLINE uint64_t within(const float *cost, float limit, int from, int n_lanes)
{
    uint64_t word = 0;
    int end = from + 64 < n_lanes ? from + 64 : n_lanes;
    for (int at = from; at < end; at += TW_WIDTH)
        word |= (uint64_t)tw_bits(tw_load(cost + at) <= limit) << (at & 63);
    return word;
}

/* A bit for each cost that equals the least. */
static float tied(const float *cost, int n_lanes, uint64_t *words)
{
    float limit, lowest = least(cost, n_lanes);
    if (lowest == INFINITY)
        return lowest;
    limit = tw_tie_limit(lowest);
    for (int from = 0; from < n_lanes; from += 64)
        words[from >> 6] = within(cost, limit, from, n_lanes);
    return lowest;
}

/* The one lane whose cost equals the least; -1 where there are others, or none is a candidate. */
TW_INLINE int only_least(const float *cost, float lowest, int n_lanes)
{
    int lane = -1;
    for (int from = 0; from < n_lanes && lowest < INFINITY; from += 64) {
        uint64_t word = within(cost, tw_tie_limit(lowest), from, n_lanes);
        if (word & (word - 1) || (word && lane >= 0))
            return -1;
        if (word)
            lane = from + __builtin_ctzll(word);
    }
    return lane;
}

#endif
