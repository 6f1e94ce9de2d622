"""The commands that ask a running node: `edge explain`, `edge log`, `edge stat`, `edge purge`.

`commands` has them, `which` says which node is meant, `shown` what they print, `follow` how `edge log -f` goes on.  They ask over
the socket in the node's directory, so that whoever owns that needs no token; `/v1/explain`, `/v1/log`, `/v1/stats` and
`/v1/purge` of the admin plane answer the same.
"""
