"""The one prize service: what a person has won, whatever it is and whoever gave it (PAY-10)."""
