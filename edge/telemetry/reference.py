"""The reference page of all metrics, made from the schema: `python -m edge.telemetry.reference` writes it."""

import sys

from edge.telemetry.schema import METRICS, OUTCOMES, SECONDS

_INTRODUCTION = f"""\
# Metrics

<!-- Made by `python -m edge.telemetry.reference`; do not edit. -->

`GET /metrics` on the admin address answers in the Prometheus text format, or in OpenMetrics where that is preferred.
No label holds a path, a query, a key or a client: each label has a closed set of values, and what is not in it counts as
`OTHER`.

- `site` is a site's first host, or `-` where no site answered; `origin` is an origin's name.
- `cache` and `result` are one of {", ".join(f"`{outcome}`" for outcome in OUTCOMES)}; `-` means
  that the cache was not asked, and is never a `result`.
- `code` is a status; `499` means that the client left before there was one.
- `reason` is the token that stands in `Cache-Status` and in the access log.
- Buckets of durations end at these seconds: {", ".join(f"{bound:g}" for bound in SECONDS)}.

The process's own metrics (`process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_open_fds` …) are there
as well.

| metric | type | labels | what it tells |
|---|---|---|---|
"""


def markdown() -> str:
    """Return the whole page."""
    rows = (
        f"| `{metric.name}` | {metric.type} | {', '.join(f'`{label}`' for label in metric.labels)} | {metric.sentence} |"
        for metric in METRICS
    )
    return _INTRODUCTION + "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
