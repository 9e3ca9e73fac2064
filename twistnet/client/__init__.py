"""The `twistnet` command.

May import anything below but `twistnet.tap`, and the global reactor, which nothing but this and `twistnet.tap` may.
"""
