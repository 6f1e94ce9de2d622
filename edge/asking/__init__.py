"""The commands that ask a running node: `edge explain`, `edge log`, `edge stat`.

`commands` has them, `shown` what they print, `follow` how `edge log -f` goes on.  They ask over the
socket in the node's directory, so that whoever owns that needs no token; `GET /v1/explain`, `/v1/log` and `/v1/stats` of the admin plane answer the same.
"""
