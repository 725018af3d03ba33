"""Letters of every kind that policies.attachments and policies.formats rule on, made in code; nothing here can run."""
