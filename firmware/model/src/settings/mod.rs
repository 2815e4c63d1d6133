//! The settings file: what was said, and what it means.
