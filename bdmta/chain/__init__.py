"""The chain: policies.toml read into steps, and the steps asked in the file's order (contracts 7 and 8)."""

from bdmta.chain.load import load_chain
from bdmta.chain.run import Chain, Ruling, Step, StepResult

__all__ = ["Chain", "Ruling", "Step", "StepResult", "load_chain"]
