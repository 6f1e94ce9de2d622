"""When the keeper asks, and what it makes of a refusal; the authority is a function here."""

import asyncio
from collections import Counter
from contextlib import suppress

import pytest

from edge import private_file
from edge.acme.folder import Folder
from edge.acme.keeper import Keeper, NotIssued, in_daemon_thread
from edge.errors import ParseError
from edge.testing.clock import ManualClock

NAMES = ("a.test", "b.test")
LIFETIME = 900.0


class Authority:
    """Issues certificates, or refuses; counts both as the node does."""

    def __init__(self, folder: Folder, clock: ManualClock) -> None:
        self.folder, self.clock = folder, clock
        self.refuses = False
        self.covered = self.issued_for = frozenset(NAMES)
        self.is_damaged = False
        self.issued_at = 0.0
        self.counted: Counter[str] = Counter()
        self.asked = asyncio.Event()
        self.keeper = Keeper(folder, self.issue, self.validity, clock, self.count)

    def issue(self, names: tuple[str, ...]) -> None:
        if self.refuses:
            raise NotIssued("not today")
        private_file.write(self.folder.certificate(names), b"certificate")
        self.issued_at = self.clock.now()
        self.is_damaged, self.covered = False, self.issued_for

    def validity(self, _names: tuple[str, ...]) -> tuple[frozenset[str], float, float]:
        if self.is_damaged:
            raise ParseError("damaged")
        return self.covered, self.issued_at, self.issued_at + LIFETIME

    def count(self, event: str) -> None:
        self.counted[event] += 1
        self.asked.set()

    async def looks(self) -> None:
        """Let the keeper look once, and do what it finds."""
        self.asked.clear()
        keeping = asyncio.get_running_loop().create_task(self.keeper.keep_up([NAMES]))
        with suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await self.asked.wait()
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


@pytest.fixture
async def authority(tmp_path) -> Authority:
    return Authority(Folder(tmp_path / "acme"), ManualClock())


async def test_a_certificate_is_asked_for_once_and_renewed_when_a_third_is_left(authority):
    for _ in range(2):
        await authority.looks()
    assert authority.counted == {"certificate-issued": 1}
    authority.clock.advance(LIFETIME * 2 / 3)
    await authority.looks()
    assert authority.counted == {"certificate-issued": 2}


async def test_a_refusal_is_followed_by_a_wait(authority, caplog):
    authority.refuses = True
    for _ in range(2):
        await authority.looks()
    assert authority.counted == {"certificate-not-issued": 1}
    assert "no certificate for a.test, b.test, what is shown stays; again in 6" in caplog.text
    authority.clock.advance(70)
    await authority.looks()
    assert authority.counted == {"certificate-not-issued": 2}
    authority.refuses = False
    authority.clock.advance(270)
    await authority.looks()
    assert authority.counted == {"certificate-not-issued": 2, "certificate-issued": 1}


@pytest.mark.parametrize("fault", ["damaged", "for fewer names"])
async def test_what_cannot_be_used_is_replaced(authority, fault):
    await authority.looks()
    if fault == "damaged":
        authority.is_damaged = True
    else:
        authority.covered = frozenset(NAMES[:1])
    await authority.looks()
    assert authority.counted == {"certificate-issued": 2}


async def test_what_is_issued_for_too_few_names_is_not_asked_for_in_a_loop(authority):
    authority.issued_for = frozenset(NAMES[:1])
    for _ in range(2):
        await authority.looks()
    assert authority.counted == {"certificate-not-issued": 1}


async def test_what_the_thread_raises_is_raised_here():
    def fail() -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await in_daemon_thread(fail)
