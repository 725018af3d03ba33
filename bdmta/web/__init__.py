"""The pages: own password, devices, connection settings, address book. They show no mail."""
