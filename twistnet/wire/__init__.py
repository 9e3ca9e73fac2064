"""Sans-IO: bytes in, bytes or events out.

May import: `twistnet.errors`, attrs and the standard library. No Twisted, no clock, no sockets.
"""
