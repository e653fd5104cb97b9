"""What every other part stands on: numbers, time, ids, errors. Standard library only."""
