"""`twistnet bench`: a load generator, and what it measures.

`plan`, `asking`, `payloads`, `latencies`, `measurement`, `findings`, `plots` and `report` are plain Python: they are told the
time and what happened. `streams` and `datagrams` are the connections, `pacing` and `generator` the rest that has a reactor.
"""
