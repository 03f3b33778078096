"""What happened: ``audit`` (who did what), ``logs`` (what the gateway did), ``metrics`` (how much), ``health`` (is it ready)."""
