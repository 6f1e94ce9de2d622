"""Fakes at the ports, for tests that need no socket and no disk.

`clock` is set by hand, `store` keeps to memory, `upstream` answers by a script, `responder` and `telemetry` remember
what they are told.  `pauses` lets the n-th wait of all of them never end.  They ship with the package so that whoever
writes against the ports can test the same way.
"""
