"""What happened: counters, histograms, the access log and a ring of the last exchanges.

Start with `recorder.py`, which is told of every exchange (the port `Telemetry`) and passes it to `counters.py` (totals),
`windows.py` (the last ten minutes, second by second), `access_log.py` (lines, written by a thread, their forms in
`lines.py`), `ring.py` and `top.py` (which URLs lead).  `schema.py` has one record per metric, from which `metrics.py` renders the Prometheus text
and `reference.py` the page of all metrics.  `gauges.py` is what others are asked for at the moment of a scrape.
"""
