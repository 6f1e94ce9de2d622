"""The story of one request, told through ports.

Start with `ports` (what the world must offer) and `driver` (the story).  `lookup` finds and selects, `flight` is one
forward request that others may follow, `forward` speaks to the origin and stores, `deliver` answers the client with
preconditions, ranges, Age and Cache-Status.  Nothing here opens a socket or a file, or reads a clock of its own.
"""
