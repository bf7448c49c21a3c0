"""The faults: each a function that inflicts it, yields while it lasts, and heals it.

A fault strikes one part of the whole; two of the same part are never mixed.
"""

from chaos.faults import machine, mongodb, service
from chaos.faults.kinds import FAULTS, Fault

__all__ = ["FAULTS", "Fault", "machine", "mongodb", "service"]
