"""The admin plane: health, metrics, statistics, the dashboard and purges, on an address of its own.

`server` runs it, `guard` decides which requests are answered at all, `problems` makes RFC 9457 errors.  What is
answered is one `endpoint` record each, from which `openapi`, the `reference` and the `errors_reference` come:
`routes` for everybody (`dashboard.html` is the page of `/ui`), the other `endpoints` modules for those whose `tokens`
allow it.  `purging`, `pushing` and `publishing` do what they ask, `rewarming` what is to come after a purge; `census`
counts what one would hit, `inquiries` asks the workers, `events` tells what happens, and `idempotency` answers what
comes again.
"""
