"""The files service: a folder, what is on its way into it, and the conversations of both ends.

`folder` and `partial` touch the disk and block; `store` joins them to what a server allows. `conversation` is one end of a
connection, whose disk work is done in threads; `server` and `client` are the two ends.
"""
