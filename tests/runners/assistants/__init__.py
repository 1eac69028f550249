"""Starts assistants with skills in many folders, and compares what they list with the table in crates/assistants.

No assistant needs an account or a network for it. Each gets an empty home folder, an environment of its own, and no address
of a model except one of this computer.
"""
