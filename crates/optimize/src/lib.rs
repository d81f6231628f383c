//! Turns past trials into the next proposal worth trying.
