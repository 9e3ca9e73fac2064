"""What a port allows: pure decisions, and the one wrapper of each kind that asks for them.

May import: `twistnet.config`, `twistnet.errors`, and Twisted in the wrappers alone. A decision is told the time and
what happened; it reads no clock and touches no transport.
"""
