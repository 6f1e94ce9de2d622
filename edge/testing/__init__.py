"""Fakes at the ports, for tests that need no socket and no disk: `clock` is set by hand, `store` keeps to memory.

They ship with the package so that whoever writes against the ports can test the same way.
"""
