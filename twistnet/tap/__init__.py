"""The `twistd` and `twist` commands.

May import anything below, and the global reactor, which nothing but this and the command line may.
"""
