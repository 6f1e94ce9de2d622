"""The story of one request, told through ports.

Start with `driver` (the story); `edge.ports` says what the world must offer.  `plan` decides what of a response a
request gets, `deliver` sends it, `reusing` finds it in the store.  `asking` speaks to the origin, `filling` begins to
store what it may, `fence` keeps out what an invalidation came before.  `collapsing` lets like requests share one answer
(`flight`); `fill` is content on its way into the store and to every client that waits, `window` what it keeps when the
store is full.  `short` is the way of plain requests without a task, with `prompt` for what is stored and `revalidating`
for a 304, and `shapes` what it remembers of messages that come again and again.  `variants` finds the form in which each
client gets a response, and `making` makes other codings of it.  `ranging` answers ranges of large representations by chunks.  An
`assembly` is one that comes in by stretches (`stretch`), for any number of clients: `assembling` makes it, `bringing`
fetches each stretch, under one validator, and stores it.  `purged` keeps out what was purged, and `unwritten` has
the purges of a node without a disk.  `exchange` is the state of one exchange, `site` the operator's choices.  Nothing here opens a socket or a file, or reads a clock of its own.
"""
