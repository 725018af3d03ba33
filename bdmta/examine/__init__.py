"""The examiner: opens what strangers sent, in bounded processes without network (architecture, contract 10)."""
