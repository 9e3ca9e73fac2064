"""What an endpoint string can say: Twisted's stream endpoints as they are, and datagram endpoints, which it lacks.

May import: `twistnet.policies`, `twistnet.protocols`, what lies below them, and Twisted. The reactor is passed in.
"""
