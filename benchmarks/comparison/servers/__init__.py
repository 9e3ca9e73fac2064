"""The servers that are compared, a small program for each kind: `python -m benchmarks.comparison.servers.on_KIND JOB …`.

A server prints its port when it listens on the loopback, and ends at the end of its standard input (`program.py`). All do the
same `JOB`s, with what their users would write: `echo` and `tls` send back what comes, `lines` each line with a write of its own,
`datagrams` each datagram, `web` a page. `table.py` says which servers there are, and what each of them needs.
"""
