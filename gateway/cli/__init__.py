"""What people type: ``main`` finds the command; one small file a command; ``configuration`` and ``people`` are what several share."""
