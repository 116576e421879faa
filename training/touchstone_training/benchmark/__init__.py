"""How right the service is: beside peers, with intervals, and where it fails."""
