"""The operator's choices, where no RFC decides: pure, like the law in `caching`.

`key` makes cache keys and the query that is forwarded, `profile` holds what differs between `safe` and `strict-rfc`,
`learned` remembers what keys vary on and which were not storable, `eviction` is the memory tier's size-aware policy,
`admission` and `reinsertion` decide what the disk takes and what it keeps, `chunking` by which parts, and how far ahead,
a large representation is fetched, `limits` are the default limits of a request and a response.
"""
