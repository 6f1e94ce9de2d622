"""Preloading: what is asked of the node before its visitors ask, so that they find it there.

`job` is a job as it is kept and told, and what becomes of one URL; `pace` says when the next may be asked for, and
`sitemap` reads sitemaps: the pure part.  `kept` keeps jobs over restarts, `fetching` asks the worker that owns a URL, and
`preloads` runs jobs.
"""
