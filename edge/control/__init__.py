"""The admin plane: health, metrics, statistics, the dashboard and purges, on an address of its own.

`server` runs it, `guard` decides which requests are answered at all, `problems` makes RFC 9457 errors.  What is answered
is one `endpoint` record each, from which `openapi` and the `reference` come: `routes` for everybody (`dashboard.html` is
the page of `/ui`), `purge_endpoints` and `compatible` for those whose `tokens` allow it.  `purging` does what they ask,
`census` counts what that would hit, and `idempotency` answers what comes again, from what `durable` keeps.
"""
