"""What tests of bdmta and of site-local policies stand on; shipped, so that plugin authors have it too."""

from bdmta.testing.clock import FakeClock

__all__ = ["FakeClock"]
