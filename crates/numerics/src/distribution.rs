//! Distribution functions and their inverses.
