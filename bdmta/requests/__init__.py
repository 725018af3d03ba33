"""Requests for mailboxes (Điều 7): asked by letter or on paper, carried out once, told to whom it concerns."""
