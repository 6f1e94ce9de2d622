"""Which worker owns a key: rendezvous hashing, so that a change in their number moves as few keys as it can.

Keys fall into stripes by their hash, and each stripe has an owner; finding it is a look-up.
"""

from functools import lru_cache
from hashlib import blake2b

#: How many stripes there are; many more than workers, so that all own about the same.
STRIPES = 4096
#: The most workers there can be.
MOST_WORKERS = 64


def stripe_of(key_hash: bytes) -> int:
    """Return the stripe of a key by its hash."""
    return (key_hash[0] << 8 | key_hash[1]) % STRIPES


@lru_cache(maxsize=4)
def owners(workers: int) -> tuple[int, ...]:
    """Return the owner of each stripe among `workers`: for each, the one whose weight for it is highest."""
    return tuple(max(range(workers), key=lambda worker: _weight(stripe, worker)) for stripe in range(STRIPES))


def _weight(stripe: int, worker: int) -> bytes:
    return blake2b(b"%d %d" % (stripe, worker), digest_size=8).digest()
