"""A person at a terminal: keys in, an edited line out, and what is shown above it.

May import units, and Twisted in `person.py` and `output.py` alone: the rest is told what was typed and answers what to write.
"""
