import pytest

from edge.exchange.reading import Reading
from edge.testing.responder import RecordingResponder

CONTENT = bytes(range(256)) * 1000


class Octets:
    """Octets of CONTENT, so many at a time; `opened` counts those that are not closed."""

    opened = 0

    def __init__(self, start, end):
        self.at, self.end = start, len(CONTENT) if end is None else min(end, len(CONTENT))
        Octets.opened += 1

    async def read(self):
        piece = CONTENT[self.at : min(self.at + 100_000, self.end)]
        self.at += len(piece)
        return piece

    def close(self):
        Octets.opened -= 1


class Narrow(RecordingResponder):
    """A client whose room changes with every look at it."""

    def __init__(self, *rooms):
        super().__init__()
        self.rooms, self.waited = list(rooms), 0

    @property
    def room(self):
        return self.rooms.pop(0) if self.rooms else len(CONTENT)

    async def wait_room(self):
        self.waited += 1


@pytest.mark.parametrize("end", [None, len(CONTENT), 150_000, 0])
@pytest.mark.parametrize("looks", [False, True])
@pytest.mark.parametrize("rooms", [(), (0,), (0, 0, 0), (1, 5, 0, 100), (70_000, 0, 90_000, 1), (65_536, 65_536, 0)])
async def test_whatever_there_is_room_for_all_of_it_comes(rooms, looks, end):
    responder, got, given = Narrow(*rooms), b"", []
    reading = Reading(responder, Octets, 0, end)
    if looks:
        await reading.look()
    while piece := await reading.read():
        given.append(len(piece))
        got += piece
    reading.close()
    assert got == CONTENT[:end]
    assert Octets.opened == 0
    # The first look is before anything is read.
    if end != 0 and rooms[1:] and rooms[1]:
        assert given[0] <= rooms[1]


async def test_what_can_be_read_only_once_is_taken_whole():
    responder = Narrow(*[0] * 10)
    reading = Reading(responder, Octets, 0, None, is_passing=True)
    assert len(await reading.read()) == 100_000
    reading.close()
    assert responder.waited == 0
