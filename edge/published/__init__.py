"""What was pushed to this node and is served without the origin: contents by their hash, and versions of sites.

`blobs` keeps each content once, under its SHA-256; `manifest` is what a version of a site consists of, and checks it;
`versions` keeps them and the one that is active, which a rename changes; `bundle` takes contents in from the wire.
`content` is the exchange's port `Published`: what is active, as each worker serves it.
"""
