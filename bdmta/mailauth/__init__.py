"""Who really sent a letter: DKIM (RFC 6376), SPF (RFC 7208), DMARC (RFC 7489), and our own signature on what leaves."""
