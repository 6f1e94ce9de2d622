"""The admin plane: health, metrics, statistics and the dashboard, on an address of its own.

`server.py` runs it, `routes.py` has the answers, `guard.py` decides which requests are answered at all, `problems.py`
makes RFC 9457 errors, `dashboard.html` is the page of `/ui`.  Nothing here can change the node.
"""
