"""Foreland beside its peers, on one machine, in one run.

    python -m benchmarks [--quick] [--cases hit-1k,miss] [--peers nginx,varnish] [--rounds 5] [--output results.json]

`contestants` starts each program with its own recommended tuning, `cases` says what is asked of it, `load` asks (with
wrk, h2load and our own `driver`), `measure` lets the contestants take turns and looks at what they use (`processes`),
`report` makes tables and plots.  Server and load have a core each.

    python -m benchmarks.cost [hit miss pass disk] [--syscalls]

counts what one request costs Foreland, on a machine that need not be quiet.
"""
