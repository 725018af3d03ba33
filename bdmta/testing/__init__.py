"""What tests of bdmta and of site-local policies stand on; shipped, so that plugin authors have it too."""

from bdmta.testing.clock import FakeClock
from bdmta.testing.policy import PolicyContext

__all__ = ["FakeClock", "PolicyContext"]
