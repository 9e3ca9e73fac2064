"""The services that come with twistnet: a module for those that are alike, with their options and definitions.

A drop-in names each definition (`twisted/plugins/twistnet_plugins.py`), so nothing is imported here.
"""
