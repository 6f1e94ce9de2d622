"""Header blocks decoded, and remembered where that cannot change what they mean (RFC 7541).

What a block means depends on its octets and on the state of the dynamic table before it.  A block that leaves the table
as it was means the same for as long as no other changes the table.  So such blocks are remembered, and all of them are
forgotten at every change.
"""

from collections.abc import Sequence

import hpack
from hpack.table import HeaderTable

from edge.downstream.http2.faults import ConnectionFault
from edge.downstream.http2.frames import ErrorCode
from edge.downstream.http2.request import Asked, read_request
from edge.policy.limits import Limits
from edge.semantics.fields import Line

# Longer blocks are rarely repeated, and so many are remembered.
_LONGEST, _BLOCKS = 512, 32


class _Table(HeaderTable):
    """A dynamic table that counts its changes."""

    def __init__(self) -> None:
        super().__init__()
        self.version = 0

    def add(self, name: bytes, value: bytes) -> None:
        self.version += 1
        super().add(name, value)

    @property
    def maxsize(self) -> int:
        return self._maxsize

    @maxsize.setter
    def maxsize(self, size: int) -> None:
        self.version += 1
        HeaderTable.maxsize.fset(self, size)  # type: ignore[attr-defined]


class BlockDecoder:
    """The header blocks of one connection, in the order in which they come."""

    __slots__ = ("_decoder", "_limits", "_memo", "_scheme", "_table")

    def __init__(self, scheme: bytes, limits: Limits) -> None:
        self._scheme = scheme
        self._limits = limits
        self._table = _Table()
        # What is a little too large can be answered; beyond that, decoding it would be work for nothing.
        self._decoder = hpack.Decoder(max_header_list_size=2 * limits.field_section)
        self._decoder.header_table = self._table
        self._memo: dict[bytes, Asked] = {}

    def request(self, block: bytes, *, ends: bool) -> Asked:
        """Return what a request's header block asks for; `ends` if it has no content.

        Raises:
            ConnectionFault: it cannot be decoded.
            StreamFault: it is malformed.
            DownstreamError: it is to be answered with an error.
        """
        if ends and (known := self._memo.get(block)) is not None:
            return known
        version = self._table.version
        lines = self.lines(block)
        asked = read_request(lines, ends=ends, scheme=self._scheme, limits=self._limits)
        if ends and asked.octets and version == self._table.version and len(block) <= _LONGEST:
            if len(self._memo) >= _BLOCKS:
                del self._memo[next(iter(self._memo))]
            self._memo[block] = asked
        return asked

    def lines(self, block: bytes) -> Sequence[Line]:
        """Return the field lines of any header block; ConnectionFault when it cannot be decoded."""
        version = self._table.version
        try:
            lines = [(name, value) for name, value in self._decoder.decode(block, raw=True)]
        except hpack.OversizedHeaderListError as error:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "header-list-too-large") from error
        except hpack.HPACKError as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR) from error
        if version != self._table.version:
            self._memo.clear()
        return lines
