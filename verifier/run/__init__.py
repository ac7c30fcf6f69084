"""The straight line from questions to their answers: stages in order, a ledger that bills time."""
