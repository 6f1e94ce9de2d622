"""The operator's settings: what there is, how it is read, what it becomes.

Start with `schema.py`: one record per setting, from which validation, defaults and the reference come.  `kinds.py` holds
the types of values and their grammar, `files.py`, `lines.py` and `given.py` read what the operator wrote and where,
`load.py` joins flags, environment, files and defaults, `checks.py` compares settings with each other, `model.py` is the
result.  `show.py` writes a configuration as TOML, `reference.py` the page of
all settings, `example.py` the complete example file.  Nothing here opens a socket
or touches the cache, and nothing outside `app` and `cli` may import it.
"""
