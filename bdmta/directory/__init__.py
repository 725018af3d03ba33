"""The directory as the service sees it: snapshot, passwords, and the acts that the CLI, the web and the office call."""
