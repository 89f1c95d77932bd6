"""The contract that every engine must pass: what an evaluator is measured by, whoever judges it."""
