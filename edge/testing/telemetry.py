"""A telemetry that remembers."""

from collections import Counter

from edge.ports import Record


class RecordingTelemetry:
    """The exchange's `Telemetry`: `records` in order, `counters` by name, and `codings`."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.counters: Counter[str] = Counter()
        self.codings: list[tuple[bytes, int, int]] = []

    def exchange_ended(self, record: Record) -> None:
        """Keep the record."""
        self.records.append(record)

    def relayed(self, record: Record) -> None:
        """Forget the record."""

    def count(self, counter: str, amount: int = 1) -> None:
        """Add to a counter."""
        self.counters[counter] += amount

    def coded(self, coding: bytes, octets_in: int, octets_out: int) -> None:
        """Keep the octets."""
        self.codings.append((coding, octets_in, octets_out))
