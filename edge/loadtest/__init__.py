"""`edge bench`: a small load generator for whoever has no other at hand.

`load` asks for URLs over keep-alive connections and counts the answers, `report` makes a text or JSON of the counts, and
`command` is the command line.  Each connection asks again when it has its answer, so latencies are those at the peak;
programs in C make more load from one core.
"""
