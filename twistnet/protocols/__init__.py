"""Twisted protocols: thin shells around the transforms of `twistnet.wire`.

May import: `twistnet.wire`, `twistnet.errors`, `twistnet.addresses` and Twisted. Each class works in anybody's
application, without the rest of twistnet.
"""
