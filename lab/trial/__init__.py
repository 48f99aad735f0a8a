"""An environment's own lab: made from its model, and tried with packets."""
