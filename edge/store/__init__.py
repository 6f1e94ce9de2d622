"""The store of a node: stored responses on disk and, the hottest of them, in memory.

Start with `disk`, which implements the exchange's `Store` port on one node directory:

    lock, control           who has it open, its format, how it was left (`node`)
    segments/0000002a.seg   append-only files of records (`segment`, `segment_header`, `scan`, `record`, `head`)
    index/data.mdb          where the records of a key and of a generation lie (`index`)
    visits                  which records were used, for the next start (`visits`)
    sites/NAME/             the same once more, for a site with a quota of its own (`volumes`)

A response is a head and, under its generation, chunks of content.  Content comes in through a `fill`, waits in the
`ledger`, where it can be read already, and goes by the `flush` to the `log`, which appends it and tells the index; the
oldest segment makes room (`reclaim`) so that the quota holds (`layout`).  Content goes out through a `reader`, from the
`memory` tier, the ledger or a segment; what is not admitted is only `passing`.  What is pinned (`pins`) is never reclaimed.
`recovery` makes the index whole when the node was not left cleanly, and `scrub` looks for damage meanwhile.

The event loop owns the ledger and the memory tier and reads the index; one writer thread owns everything that changes
the disk.  What passes between the two is in `entry`.
"""
