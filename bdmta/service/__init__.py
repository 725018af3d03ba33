"""The processes: a supervisor that binds, edges that speak, an office that writes, a courier for what waits."""
