"""One rule of the regulation, or of the field, per module; the configuration names them by import path."""
