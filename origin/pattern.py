"""Generated content that anybody can compute again, from any offset.

The content named by a seed is an endless run of blocks of 4096 octets; block number i is
SHAKE128(i as 8 octets, most significant first, followed by the seed), taken to 4096 octets.  It does not compress, two
seeds share nothing, and an octet in the wrong place is always noticed.
"""

import hashlib

BLOCK_SIZE = 4096


def pattern(start: int, end: int, seed: bytes = b"") -> bytes:
    """Return the octets [start, end) of the content named by `seed`."""
    if start >= end:
        return b""
    first = start // BLOCK_SIZE
    blocks = b"".join(_block(number, seed) for number in range(first, (end - 1) // BLOCK_SIZE + 1))
    return blocks[start - first * BLOCK_SIZE : end - first * BLOCK_SIZE]


def _block(number: int, seed: bytes) -> bytes:
    return hashlib.shake_128(number.to_bytes(8, "big") + seed).digest(BLOCK_SIZE)
