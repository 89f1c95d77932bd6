"""One module per runtime that runs exported files."""
