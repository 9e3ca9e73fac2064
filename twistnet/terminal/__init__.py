"""A person at a terminal: keys in, an edited line out, and what is shown above it.

May import units. `keys.py`, `editor.py` and `screen.py` are told what was typed, and answer what to write; they import no Twisted.
"""
