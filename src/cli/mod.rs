//! What the user typed, resolved into settings.
