"""The purges of a node, durable and the same in all of its processes.

- `record`: a line of the log, with its checksum.
- `reader`: reading the log, and reading on in it.
- `log`: the file: made, repaired, appended to, made shorter.
- `node`: the port `Purges`: the rules as one process has them, and the epoch that all processes share.
"""
