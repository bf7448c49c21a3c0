"""The faults: each a function that inflicts it, yields while it lasts, and heals it.

A fault strikes one part of the whole; two of the same part are never mixed. Healing waits for nothing: how long it
takes until all is well again is what the checks measure.
"""

from chaos.faults import machine, mongodb, service
from chaos.faults.kinds import FAULTS, Bite, Fault, Struck

__all__ = ["FAULTS", "Bite", "Fault", "Struck", "machine", "mongodb", "service"]
