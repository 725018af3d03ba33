"""Who logs in: SASL grammars, password checks off the loop, waits after wrong ones (contract 12)."""

from bdmta.auth.login import Authenticator, Failure, Login

__all__ = ["Authenticator", "Failure", "Login"]
