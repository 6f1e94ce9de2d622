"""The processes of a node: one supervisor, and generations of workers under it.

`supervisor.py` decides, `generation.py` starts, swaps and ends workers, `child.py` is one worker as seen from here,
`channel.py` what both say to each other, `sockets.py` keeps the listening sockets, `page.py` is the memory that all
share, `commands.py` hears `edge reload` and `edge upgrade`, `notify.py` tells the service manager, `stall.py` watches
an event loop.  Nothing here knows HTTP or a setting: a plan says what to run.  Start at `supervisor.py`.
"""
