"""multipart/byteranges."""

from email.parser import BytesParser

import pytest

from edge.errors import StoreDamaged
from edge.exchange.multipart import Multipart

CONTENT = bytes(range(65, 91))


class Octets:
    """Octets of CONTENT, three at a time; `opened` counts those that are not closed."""

    opened = 0

    def __init__(self, start, end):
        self.start, self.end, self.is_open = start, end, True
        Octets.opened += 1

    async def read(self):
        piece = CONTENT[self.start : min(self.start + 3, self.end)]
        self.start += len(piece)
        return piece

    def close(self):
        Octets.opened -= self.is_open
        self.is_open = False


class Damaged(Octets):
    """Octets that cannot be read."""

    async def read(self):
        raise StoreDamaged


async def whole(source):
    pieces = []
    while piece := await source.read():
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize(
    "content_type", [pytest.param(b"text/plain", id="with a type"), pytest.param(None, id="without a type")]
)
async def test_the_parts_are_those_of_the_content(content_type):
    ranges = ((0, 1), (4, 12), (25, 26))
    multipart = Multipart(ranges, len(CONTENT), content_type, b"frontier", Octets)
    source = multipart.open()
    content = await whole(source)
    assert len(content) == multipart.length
    assert await source.read() == b""
    assert Octets.opened == 0

    message = BytesParser().parsebytes(b"Content-Type: multipart/byteranges; boundary=frontier\r\n\r\n" + content)
    assert message.defects == []
    parts = message.get_payload()
    assert [part.get_payload().encode() for part in parts] == [CONTENT[start:end] for start, end in ranges]
    assert [part["Content-Range"] for part in parts] == ["bytes 0-0/26", "bytes 4-11/26", "bytes 25-25/26"]
    assert [part["Content-Type"] for part in parts] == [content_type and content_type.decode()] * 3


async def test_the_octets_are_exact():
    multipart = Multipart(((0, 2), (3, 4)), 5, b"a/b", b"x", Octets)
    assert await whole(multipart.open()) == (
        b"\r\n--x\r\nContent-Type: a/b\r\nContent-Range: bytes 0-1/5\r\n\r\nAB"
        b"\r\n--x\r\nContent-Type: a/b\r\nContent-Range: bytes 3-3/5\r\n\r\nD"
        b"\r\n--x--\r\n"
    )


async def test_it_can_be_read_from_anywhere_to_anywhere():
    multipart = Multipart(((0, 2), (3, 9)), len(CONTENT), b"a/b", b"x", Octets)
    content = await whole(multipart.open())
    for start in range(multipart.length):
        for end in {start, start + 1, start + 40, multipart.length}:
            assert await whole(multipart.open(start, end)) == content[start:end]
    assert Octets.opened == 0


async def test_closing_lets_go_of_the_part_being_read():
    multipart = Multipart(((0, 9), (12, 15)), 26, None, b"x", Octets).open()
    await multipart.read()
    multipart.close()
    assert await multipart.read() == b"ABC"
    assert Octets.opened == 1
    multipart.close()
    multipart.close()
    assert Octets.opened == 0


async def test_a_part_that_cannot_be_read_is_an_error():
    multipart = Multipart(((0, 9),), 26, None, b"x", Damaged).open()
    await multipart.read()
    with pytest.raises(StoreDamaged):
        await multipart.read()
    multipart.close()
    assert Octets.opened == 0
