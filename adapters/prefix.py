"""Which resource has read which prompts: how many tokens of the next one each would still have to read."""

from __future__ import annotations

import json
import math
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tailwise.errors import InputError
from tailwise.validate import as_number, hold_whole, is_not_negative, is_number, is_whole, require

__all__ = ["Chain", "PrefixMemory", "conversation"]

#: Blocks of a prompt that are looked at; what comes after (a picture in base64, a book) counts as not read.
MOST_BLOCKS = 4096


class Chain(NamedTuple):
    """A prompt as a hash for each prefix of whole blocks, each made of the one before. size: characters in all."""

    hashes: tuple[int, ...]
    size: int


class PrefixMemory:
    """Prefixes of prompts and the lanes that were given them, the least recently given forgotten first.

    max_blocks: prefixes kept, >= 1; some 150 bytes each. block: characters (of bytes: bytes) by which prefixes grow,
    >= 1; 256 are some 64 tokens of English, so up to that many that are cached count as not. Nothing is
    tokenised: the share of a prompt's characters that was read stands for the share of its tokens.

    It knows what was sent where, not what a server has evicted: take max_blocks for what all of them hold together,
    and `forget` one that restarts. Hashes are Python's own, 64 bits, keyed by process unless PYTHONHASHSEED is set;
    two prefixes that share one would send a job to where it must read more. No hash enters a number otherwise: equal
    calls give equal numbers in any process. For one thread at a time. Raises ConfigError.
    """

    def __init__(self, *, max_blocks: int = 1 << 16, block: int = 256) -> None:
        self.max_blocks, self.block = max_blocks, block
        hold_whole(self, "PrefixMemory", "max_blocks", 1)
        hold_whole(self, "PrefixMemory", "block", 1)
        self._had: OrderedDict[int, int] = OrderedDict()  # a bit a lane, by prefix; the last given comes last
        self._bits = _Bits(self.max_blocks)

    def __len__(self) -> int:
        """Prefixes that are kept."""
        return len(self._had)

    def chain(self, prompt: str | bytes, salt: str = "") -> Chain:
        """What the other calls take, made once a request.

        prompt: as the model reads it, or anything that grows at its end as that does: see `conversation`. salt: what
        caches do not share between, such as the model's name. Cost: 60 us for 32 KB; `python -m bench.prefix`.
        """
        block = self.block
        link, hashes = hash(salt), []
        for end in range(block, min(len(prompt), block * MOST_BLOCKS) + 1, block):
            link = hash((link, prompt[end - block : end]))
            hashes.append(link)
        return Chain(tuple(hashes), len(prompt))

    def uncached(
        self, chain: Chain, n_tokens: float, lanes: int, out: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Tokens of the prompt that each lane has not read, shape (lanes,), at most n_tokens; where it was never sent
        anything alike, all of them.

        n_tokens: of the whole prompt, >= 0, an estimate will do; NaN = unknown, and so is the result. out: written
        instead. Raises InputError. Cost: 100 ns a block that some lane has read.
        """
        count = as_number(n_tokens)
        usable = is_number(n_tokens) and (math.isnan(count) or is_not_negative(count))
        require(usable, "uncached", "n_tokens", n_tokens, "a number >= 0 or NaN", InputError)
        left = np.empty(lanes) if out is None else out
        left.fill(count)
        having, depth = self._bits.live, 0  # lanes that have read all blocks so far
        for link in chain.hashes:
            still = having & self._had.get(link, 0)
            if still != having:
                if depth:
                    self._bits.put(left, having & ~still, count * (1.0 - depth * self.block / chain.size))
                having = still
                if not having:
                    break
            depth += 1
        if depth:
            self._bits.put(left, having, count * (1.0 - depth * self.block / chain.size))
        return left

    def note(self, chain: Chain, lane: int) -> None:
        """The lane was given this prompt. Raises InputError. Cost: 300 ns a block."""
        require(is_whole(lane, 0), "note", "lane", lane, "a lane >= 0", InputError)
        had, bit = self._had, self._bits.of(lane)
        live, before = self._bits.live, len(had)
        # the longest prefix first: a prefix is forgotten no sooner than what it begins, which is found through it
        for link in reversed(chain.hashes[: self.max_blocks]):
            had[link] = had.get(link, 0) & live | bit
            had.move_to_end(link)
        self._bits.n_new += len(had) - before
        while len(had) > self.max_blocks:
            had.popitem(last=False)

    def forget(self, lane: int) -> None:
        """The lane has nothing any more: it restarted, or is another resource's. Raises InputError. Cost: 1 us."""
        require(is_whole(lane, 0), "forget", "lane", lane, "a lane >= 0", InputError)
        self._bits.retire(lane)


class _Bits:
    """Which bit is whose. A lane that is forgotten gets another, so that no prefix need be looked at: its old one
    means nothing, `note` clears it where it comes by, and no prefix has it once max_blocks new ones have come.

    live: those that mean a lane. n_new: prefixes that came, ever.
    """

    def __init__(self, max_blocks: int) -> None:
        self.live = 0
        self.n_new = 0
        self._max_blocks = max_blocks
        self._place: dict[int, int] = {}  # of a lane's bit
        self._lane: dict[int, int] = {}
        self._retired: deque[tuple[int, int]] = deque()  # places, and n_new of then
        self._n_places = 0

    def of(self, lane: int) -> int:
        place = self._place.get(lane)
        if place is None:
            if self._retired and self.n_new - self._retired[0][1] >= self._max_blocks:
                place = self._retired.popleft()[0]
            else:
                place = self._n_places
                self._n_places += 1
            self._place[lane], self._lane[place] = place, lane
            self.live |= 1 << place
        return 1 << place

    def retire(self, lane: int) -> None:
        place = self._place.pop(lane, None)
        if place is not None:
            del self._lane[place]
            self.live &= ~(1 << place)
            self._retired.append((place, self.n_new))

    def put(self, row: NDArray[np.float64], bits: int, value: float) -> None:
        """Where the row has the lanes of a set of bits."""
        while bits:
            lowest = bits & -bits
            lane = self._lane[lowest.bit_length() - 1]
            if lane < len(row):
                row[lane] = value
            bits ^= lowest


def conversation(messages: Iterable[Mapping[str, Any]], tools: object = None) -> str:
    """Messages of a chat as one text, of which those of the next turn are a longer one.

    tools: as in the request; models are told of them first. What is no plain text of a role is taken as JSON.
    """
    head = [] if tools is None else [_json(tools)]
    return "\x1e".join([*head, *map(_said, messages), ""])


def _said(message: Mapping[str, Any]) -> str:
    role, text = message.get("role"), message.get("content")
    plain = isinstance(role, str) and isinstance(text, str) and len(message) == 2
    return f"{role}\x1f{text}" if plain else _json(message)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
