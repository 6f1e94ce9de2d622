"""The commands `edge cache …`: looking into the store of a node, whether it runs or not.

Start with `commands`.  What a store holds comes from `edge.store.inspect` and `edge.store.verify`; `selection` says
which stored responses are meant and how fresh they are, `shown` how things look on a terminal and as JSON, `export`
writes content to files.  Nothing here changes the node directory.
"""
