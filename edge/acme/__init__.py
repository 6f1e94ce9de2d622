"""Certificates from an authority that speaks ACME (RFC 8555).

`folder` is what processes share: keys, certificates, and the answers to challenges that are open.  `keeper` runs in the
supervisor and decides when a certificate is asked for; `issuing` asks, in a thread, and alone imports the library.
Workers only read: the answers when an authority comes for them, the certificates as they do with other files.
"""
