"""Services: what they are, how they are found, and how they listen, drain and make up a node.

May import: `twistnet.endpoints`, what lies below it, and Twisted. The reactor is passed in.
"""
