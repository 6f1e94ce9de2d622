"""Content codings: implements the port `Codecs`.

`coders` speaks to the libraries, one piece at a time and never with more output than was asked for; `streams` makes
sources of them that work in threads.  What is coded, and where it is kept, is not decided here.
"""
