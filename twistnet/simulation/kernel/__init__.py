"""A simulated kernel: sockets as a POSIX system shows them to a program.

One `Kernel` is one machine. Its sockets have the methods, the limits and the errors of real ones (Linux, where systems
differ), and its packets travel over whatever `Wire` joins it to other kernels. No Twisted is imported here.
"""

from __future__ import annotations

from .kernel import Kernel, KernelConfig, Wire
from .paths import FilePaths, MemoryPaths
from .sockets import Socket

__all__ = ["FilePaths", "Kernel", "KernelConfig", "MemoryPaths", "Socket", "Wire"]
